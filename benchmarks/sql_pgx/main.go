// Command pgx asks a Postgres server as Grafana's data source does, and says how long it took.
//
// Usage: pgx DSN < statements > answers
//
// A statement is a JSON string a line; its answer is a line of JSON: seconds until pgx has every row of it (its simple
// protocol, whole results), CPU seconds of this process meanwhile, and how many rows there were.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

type answer struct {
	Seconds    float64 `json:"seconds"`
	CPUSeconds float64 `json:"cpu_seconds"`
	Rows       int     `json:"rows"`
}

func cpu() float64 {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		return 0
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano()).Seconds()
}

func ask(ctx context.Context, connection *pgx.Conn, statement string) (answer, error) {
	began, used := time.Now(), cpu()
	results, err := connection.PgConn().Exec(ctx, statement).ReadAll()
	if err != nil {
		return answer{}, err
	}
	got := answer{Seconds: time.Since(began).Seconds(), CPUSeconds: cpu() - used}
	for _, result := range results {
		got.Rows += len(result.Rows)
	}
	return got, nil
}

func run(dsn string) error {
	ctx := context.Background()
	connection, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer connection.Close(ctx)
	answers := json.NewEncoder(os.Stdout)
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var statement string
		if err := json.Unmarshal(lines.Bytes(), &statement); err != nil {
			return err
		}
		got, err := ask(ctx, connection, statement)
		if err != nil {
			return err
		}
		if err := answers.Encode(got); err != nil {
			return err
		}
	}
	return lines.Err()
}

func main() {
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
