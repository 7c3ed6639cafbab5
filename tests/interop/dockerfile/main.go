// What BuildKit makes of a Dockerfile: its instructions, and what `docker build --check` would say; for stepsize's tests.
//
// It reads a Dockerfile on standard input and writes JSON. The images that it begins with are not asked for. With the path of
// a .dockerignore it reads names of files instead, and writes those that a builder would be sent.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"os"

	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/frontend/dockerfile/dockerfile2llb"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/solver/pb"
	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
	"github.com/opencontainers/go-digest"
)

// emptyImages answers for every image that it has an empty configuration.
type emptyImages struct{}

func (emptyImages) ResolveSourceMetadata(
	_ context.Context, op *pb.SourceOp, _ sourceresolver.Opt,
) (*sourceresolver.MetaResponse, error) {
	config := []byte(`{"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers"}}`)
	image := &sourceresolver.ResolveImageResponse{Digest: digest.FromBytes(config), Config: config}
	return &sourceresolver.MetaResponse{Op: op, Image: image}, nil
}

type instruction struct {
	Name  string   `json:"name"`
	Flags []string `json:"flags"`
	Text  string   `json:"text"`
}

// sent writes the names on standard input that a .dockerignore lets through.
func sent(ignored string) error {
	file, err := os.Open(ignored)
	if err != nil {
		return err
	}
	defer file.Close()
	patterns, err := ignorefile.ReadAll(file)
	if err != nil {
		return err
	}
	matcher, err := patternmatcher.New(patterns)
	if err != nil {
		return err
	}
	names := bufio.NewScanner(os.Stdin)
	for names.Scan() {
		matches, err := matcher.MatchesOrParentMatches(names.Text())
		if err != nil {
			return err
		}
		if !matches {
			fmt.Println(names.Text())
		}
	}
	return names.Err()
}

func main() {
	if len(os.Args) > 1 {
		if err := sent(os.Args[1]); err != nil {
			log.Fatal(err)
		}
		return
	}
	dockerfile, err := io.ReadAll(os.Stdin)
	if err != nil {
		log.Fatal(err)
	}
	parsed, err := parser.Parse(bytes.NewReader(dockerfile))
	if err != nil {
		log.Fatal(err)
	}
	said := struct {
		Instructions []instruction `json:"instructions"`
		Warnings     []string      `json:"warnings"`
	}{Warnings: []string{}}
	for _, warning := range parsed.Warnings {
		said.Warnings = append(said.Warnings, warning.Short)
	}
	for _, node := range parsed.AST.Children {
		said.Instructions = append(said.Instructions, instruction{node.Value, node.Flags, node.Original})
	}
	source := llb.NewSourceMap(nil, "Dockerfile", "Dockerfile", dockerfile)
	source.Definition = &llb.Definition{}
	checked, err := dockerfile2llb.DockerfileLint(context.Background(), dockerfile, dockerfile2llb.ConvertOpt{
		MetaResolver: sourceresolver.NewImageMetaResolver(emptyImages{}),
		SourceMap:    source,
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, warning := range checked.Warnings {
		said.Warnings = append(said.Warnings, warning.RuleName+": "+warning.Detail)
	}
	if checked.Error != nil {
		said.Warnings = append(said.Warnings, checked.Error.Message)
	}
	if err := json.NewEncoder(os.Stdout).Encode(said); err != nil {
		log.Fatal(err)
	}
}
