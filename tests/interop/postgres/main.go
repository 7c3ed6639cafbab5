// Command clients asks a Postgres server with the drivers that Go programs use, and prints what it got.
//
// Usage: clients DRIVER DSN < requests > answers
//
// A request is one JSON object a line: {"sql": "…", "args": […]}; its answer is one line: the names and types of the
// columns, and the rows as texts (null for NULL), or the SQLSTATE of the error. DRIVER is `pq` (database/sql with
// lib/pq), `wire` (pgx's simple protocol for whole results, as Grafana's newer data source uses it), one of pgx's ways
// to run queries (cache_statement, cache_describe, describe_exec, exec, simple_protocol), `batch` (all requests in one
// batch of pgx), or `cancel` (the first request, whose context ends after a quarter of a second, then the second).
package main

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/lib/pq"
)

type request struct {
	SQL  string `json:"sql"`
	Args []any  `json:"args"`
}

type answer struct {
	Columns []string    `json:"columns"`
	Types   []string    `json:"types"`
	Rows    [][]*string `json:"rows"`
	Error   string      `json:"error,omitempty"`
	Message string      `json:"message,omitempty"`
}

var modes = map[string]pgx.QueryExecMode{
	"cache_statement": pgx.QueryExecModeCacheStatement,
	"cache_describe":  pgx.QueryExecModeCacheDescribe,
	"describe_exec":   pgx.QueryExecModeDescribeExec,
	"exec":            pgx.QueryExecModeExec,
	"simple_protocol": pgx.QueryExecModeSimpleProtocol,
}

func failed(err error) answer {
	var known *pgconn.PgError
	var other *pq.Error
	switch {
	case errors.As(err, &known):
		return answer{Error: known.Code, Message: known.Message}
	case errors.As(err, &other):
		return answer{Error: string(other.Code), Message: other.Message}
	case errors.Is(err, context.DeadlineExceeded):
		return answer{Error: "deadline", Message: err.Error()}
	}
	return answer{Error: "client", Message: err.Error()}
}

func text(value any) *string {
	switch typed := value.(type) {
	case nil:
		return nil
	case []byte:
		said := string(typed)
		return &said
	case time.Time:
		said := typed.UTC().Format(time.RFC3339Nano)
		return &said
	case float64:
		said := fmt.Sprint(typed)
		return &said
	case pgtype.Numeric:
		number, _ := typed.Float64Value()
		said := fmt.Sprint(number.Float64)
		return &said
	case map[string]any, []any:
		said, _ := json.Marshal(typed)
		plain := string(said)
		return &plain
	}
	said := fmt.Sprint(value)
	return &said
}

func throughPq(db *sql.DB, ctx context.Context, asked request) answer {
	rows, err := db.QueryContext(ctx, asked.SQL, asked.Args...)
	if err != nil {
		return failed(err)
	}
	defer rows.Close()
	var got answer
	got.Columns, _ = rows.Columns()
	types, err := rows.ColumnTypes()
	if err != nil {
		return failed(err)
	}
	for _, one := range types {
		got.Types = append(got.Types, one.DatabaseTypeName())
	}
	for rows.Next() {
		cells := make([]any, len(got.Columns))
		places := make([]any, len(cells))
		for place := range cells {
			places[place] = &cells[place]
		}
		if err := rows.Scan(places...); err != nil {
			return failed(err)
		}
		row := make([]*string, len(cells))
		for place, cell := range cells {
			row[place] = text(cell)
		}
		got.Rows = append(got.Rows, row)
	}
	if err := rows.Err(); err != nil {
		return failed(err)
	}
	return got
}

func named(fields []pgconn.FieldDescription) (columns, types []string) {
	known := pgtype.NewMap()
	for _, one := range fields {
		columns = append(columns, one.Name)
		name := fmt.Sprint(one.DataTypeOID)
		if found, ok := known.TypeForOID(one.DataTypeOID); ok {
			name = found.Name
		}
		types = append(types, name)
	}
	return columns, types
}

func collect(rows pgx.Rows, err error) answer {
	if err != nil {
		return failed(err)
	}
	defer rows.Close()
	var got answer
	for rows.Next() {
		cells, err := rows.Values()
		if err != nil {
			return failed(err)
		}
		row := make([]*string, len(cells))
		for place, cell := range cells {
			row[place] = text(cell)
		}
		got.Rows = append(got.Rows, row)
	}
	if err := rows.Err(); err != nil {
		return failed(err)
	}
	got.Columns, got.Types = named(rows.FieldDescriptions())
	return got
}

func throughWire(connection *pgx.Conn, ctx context.Context, asked request) answer {
	results, err := connection.PgConn().Exec(ctx, asked.SQL).ReadAll()
	if err != nil {
		return failed(err)
	}
	var got answer
	for _, result := range results {
		got.Columns, got.Types = named(result.FieldDescriptions)
		for _, cells := range result.Rows {
			row := make([]*string, len(cells))
			for place, cell := range cells {
				if cell != nil {
					row[place] = text(cell)
				}
			}
			got.Rows = append(got.Rows, row)
		}
	}
	return got
}

func batched(connection *pgx.Conn, ctx context.Context, asked []request) []answer {
	var batch pgx.Batch
	for _, one := range asked {
		batch.Queue(one.SQL, one.Args...)
	}
	results := connection.SendBatch(ctx, &batch)
	defer results.Close()
	var got []answer
	for range asked {
		got = append(got, collect(results.Query()))
	}
	return got
}

func cancelled(connection *pgx.Conn, asked []request) []answer {
	limited, stop := context.WithTimeout(context.Background(), 250*time.Millisecond)
	defer stop()
	began := time.Now()
	first := collect(connection.Query(limited, asked[0].SQL))
	first.Message = fmt.Sprint(time.Since(began).Seconds())
	return []answer{first, collect(connection.Query(context.Background(), asked[1].SQL))}
}

func run(driver, dsn string, asked []request) ([]answer, error) {
	ctx := context.Background()
	var got []answer
	if driver == "pq" {
		db, err := sql.Open("postgres", dsn)
		if err != nil {
			return nil, err
		}
		defer db.Close()
		if err := db.PingContext(ctx); err != nil {
			return nil, err
		}
		for _, one := range asked {
			got = append(got, throughPq(db, ctx, one))
		}
		return got, nil
	}
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, err
	}
	if mode, ok := modes[driver]; ok {
		config.DefaultQueryExecMode = mode
	}
	if driver == "cancel" {
		config.BuildContextWatcherHandler = func(connection *pgconn.PgConn) ctxwatch.Handler {
			return &pgconn.CancelRequestContextWatcherHandler{
				Conn: connection, CancelRequestDelay: 0, DeadlineDelay: 10 * time.Second,
			}
		}
	}
	connection, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	defer connection.Close(ctx)
	switch driver {
	case "batch":
		return batched(connection, ctx, asked), nil
	case "cancel":
		return cancelled(connection, asked), nil
	}
	if err := connection.Ping(ctx); err != nil {
		return nil, err
	}
	for _, one := range asked {
		if driver == "wire" {
			got = append(got, throughWire(connection, ctx, one))
		} else {
			got = append(got, collect(connection.Query(ctx, one.SQL, one.Args...)))
		}
	}
	return got, nil
}

func main() {
	var asked []request
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var one request
		if err := json.Unmarshal(lines.Bytes(), &one); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		asked = append(asked, one)
	}
	got, err := run(os.Args[1], os.Args[2], asked)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	answers := json.NewEncoder(os.Stdout)
	for _, one := range got {
		if err := answers.Encode(one); err != nil {
			os.Exit(1)
		}
	}
}
