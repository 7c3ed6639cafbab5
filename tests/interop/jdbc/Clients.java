import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.sql.Savepoint;
import java.sql.Statement;
import java.time.OffsetDateTime;
import java.util.ArrayList;
import java.util.List;

/**
 * Asks a Postgres server through JDBC what tools ask: its metadata, prepared statements that change to binary, cursors.
 *
 * <p>Usage: java -cp postgresql.jar Clients.java URL. Writes a line for each thing asked: its name, a tab, and what it
 * got, or "!!" and the error.
 */
public class Clients {
    interface Asked {
        Object get() throws Exception;
    }

    static void say(String name, Asked asked) {
        String said;
        try {
            Object got = asked.get();
            said = got instanceof ResultSet ? rows((ResultSet) got) : String.valueOf(got);
        } catch (Exception failed) {
            said = "!! " + failed.getMessage().replace('\n', ' ');
        }
        System.out.println(name + "\t" + said);
    }

    /** The count of rows, and the columns 3, 4 and 6 of the first, which name things in most of the metadata. */
    static String rows(ResultSet found) throws SQLException {
        int count = 0;
        String first = "";
        int width = found.getMetaData().getColumnCount();
        while (found.next()) {
            if (count++ == 0) {
                for (int place : new int[] {3, 4, 6}) {
                    first += place <= width ? " " + found.getString(place) : "";
                }
            }
        }
        return count + first;
    }

    static String state(Asked asked) throws Exception {
        try {
            asked.get();
        } catch (SQLException refused) {
            return refused.getSQLState();
        }
        return "no error";
    }

    static String prepared(Connection connection, int threshold) throws SQLException {
        PreparedStatement asked = connection.prepareStatement(
            "select task, attempt, started_at, cpu_seconds, memory_peak_bytes, ? as said, annotations from tasks "
            + "where started_at > ? and cpu_seconds >= ? and flow = ? and run in (select ?::text) "
            + "order by step, task desc limit ?");
        asked.unwrap(org.postgresql.PGStatement.class).setPrepareThreshold(threshold);
        List<String> got = new ArrayList<>();
        for (int time = 0; time < 4; time++) {
            asked.setString(1, "x");
            asked.setObject(2, OffsetDateTime.parse("2026-01-01T00:00:00Z"));
            asked.setDouble(3, 100);
            asked.setString(4, "Train");
            asked.setString(5, "1");
            asked.setInt(6, 1);
            ResultSet found = asked.executeQuery();
            found.next();
            String row = found.getString(1) + " " + found.getInt(2) + " " + found.getObject(3, OffsetDateTime.class).toInstant()
                + " " + found.getDouble(4) + " " + found.getLong(5) + " " + found.getString(6) + " " + found.getString(7);
            if (!got.contains(row)) {
                got.add(row);
            }
        }
        return String.join(" | ", got);
    }

    static int fetched(Connection connection) throws SQLException {
        connection.setReadOnly(true);
        connection.setAutoCommit(false);
        Statement asked = connection.createStatement();
        asked.setFetchSize(100);
        ResultSet found = asked.executeQuery("select * from points");
        int count = 0;
        while (found.next()) {
            count++;
        }
        connection.commit();
        connection.setAutoCommit(true);
        connection.setReadOnly(false);
        return count;
    }

    static String savepoint(Connection connection) throws SQLException {
        connection.setAutoCommit(false);
        Savepoint before = connection.setSavepoint();
        try {
            connection.createStatement().executeQuery("select nothing");
        } catch (SQLException failed) {
            connection.rollback(before);
        }
        String got = rows(connection.createStatement().executeQuery("select 1"));
        connection.commit();
        connection.setAutoCommit(true);
        return got;
    }

    static String columns(Connection connection) throws SQLException {
        ResultSetMetaData found = connection.prepareStatement("select * from tasks").getMetaData();
        return found.getColumnName(1) + " " + found.getColumnTypeName(1) + " " + found.getColumnClassName(1);
    }

    static ResultSet arrays(Connection connection) throws SQLException {
        PreparedStatement asked = connection.prepareStatement("select * from tasks where task = any(?)");
        asked.setArray(1, connection.createArrayOf("text", new String[] {"0", "1"}));
        return asked.executeQuery();
    }

    static int last(Connection connection) throws SQLException {
        ResultSet found = connection.createStatement(ResultSet.TYPE_SCROLL_INSENSITIVE, ResultSet.CONCUR_READ_ONLY)
            .executeQuery("select * from tasks");
        found.last();
        return found.getRow();
    }

    static String timedOut(Connection connection) throws Exception {
        Statement asked = connection.createStatement();
        asked.setQueryTimeout(1);
        return state(() -> asked.executeQuery("select count(*) from range(100000000000)"));
    }

    public static void main(String[] given) throws Exception {
        try (Connection connection = DriverManager.getConnection(given[0], "ann", "")) {
            DatabaseMetaData known = connection.getMetaData();
            say("version", known::getDatabaseProductVersion);
            say("valid", () -> connection.isValid(5));
            say("catalogs", known::getCatalogs);
            say("schemas", known::getSchemas);
            say("tables", () -> known.getTables(null, "public", "tasks", new String[] {"TABLE", "VIEW"}));
            say("types of tables", known::getTableTypes);
            say("columns", () -> known.getColumns(null, "public", "tasks", "%"));
            say("all columns", () -> known.getColumns(null, null, null, null));
            say("primary keys", () -> known.getPrimaryKeys(null, "public", "tasks"));
            say("indexes", () -> known.getIndexInfo(null, "public", "tasks", false, true));
            say("imported keys", () -> known.getImportedKeys(null, "public", "tasks"));
            say("exported keys", () -> known.getExportedKeys(null, "public", "tasks"));
            say("cross reference", () -> known.getCrossReference(null, "public", "tasks", null, "public", "points"));
            say("best row", () -> known.getBestRowIdentifier(null, "public", "tasks", 0, true));
            say("types", known::getTypeInfo);
            say("own types", () -> known.getUDTs(null, null, "nothing", null));
            say("functions", () -> known.getFunctions(null, null, "%"));
            say("procedures", () -> known.getProcedures(null, null, "%"));
            say("privileges", () -> known.getTablePrivileges(null, null, "tasks"));
            say("privileges of columns", () -> known.getColumnPrivileges(null, "public", "tasks", "%"));
            say("keywords", () -> known.getSQLKeywords().contains("pivot"));
            say("longest name", known::getMaxColumnNameLength);
            say("schema", connection::getSchema);
            for (int threshold : new int[] {0, 1, 3, -1}) {
                say("prepared " + threshold, () -> prepared(connection, threshold));
            }
            say("arrays", () -> arrays(connection));
            say("fetched", () -> fetched(connection));
            say("scrolled", () -> last(connection));
            say("columns of a result", () -> columns(connection));
            say("savepoint", () -> savepoint(connection));
            say("timeout", () -> timedOut(connection));
            say("write", () -> state(() -> connection.createStatement().executeUpdate("insert into tasks values (1)")));
        }
    }
}
