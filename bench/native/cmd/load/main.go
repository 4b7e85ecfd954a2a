// A closed-loop load of one REST or gRPC request at a time on each of N kept connections. Prints one JSON line:
// requests answered well, failures, seconds. Any failure makes the round worthless and the exit code 1.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"sort"
	"strconv"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"millrace/bench/native/wire"
)

type result struct {
	requests int
	took     []time.Duration
	err      error
}

func main() {
	protocol := flag.String("protocol", "rest", "rest or grpc")
	address := flag.String("address", "", "host:port")
	model := flag.String("model", "iris", "model to ask for")
	connections := flag.Int("connections", 1, "kept connections, one request at a time on each")
	seconds := flag.Float64("seconds", 3, "how long")
	flag.Parse()
	run := runRest
	if *protocol == "grpc" {
		run = runGrpc
	}
	results := make([]result, *connections)
	started := time.Now()
	until := started.Add(time.Duration(*seconds * float64(time.Second)))
	var group sync.WaitGroup
	for i := range results {
		group.Add(1)
		go func() {
			defer group.Done()
			results[i] = run(*address, *model, until)
		}()
	}
	group.Wait()
	elapsed := time.Since(started).Seconds()
	report(results, elapsed)
}

func report(results []result, elapsed float64) {
	total, failures := 0, []string{}
	var took []time.Duration
	for _, r := range results {
		total += r.requests
		took = append(took, r.took...)
		if r.err != nil {
			failures = append(failures, r.err.Error())
		}
	}
	sort.Slice(took, func(a, b int) bool { return took[a] < took[b] })
	percentile := func(p float64) float64 {
		if len(took) == 0 {
			return 0
		}
		return float64(took[int(p*float64(len(took)-1))].Microseconds())
	}
	line, _ := json.Marshal(map[string]any{
		"requests": total, "failures": failures, "seconds": elapsed, "p50_us": percentile(0.5), "p99_us": percentile(0.99),
	})
	fmt.Println(string(line))
	if len(failures) > 0 || total == 0 {
		os.Exit(1)
	}
}

func runRest(address, model string, until time.Time) (r result) {
	connection, err := net.Dial("tcp", address)
	if err != nil {
		return result{err: err}
	}
	defer connection.Close()
	reader := bufio.NewReaderSize(connection, 64<<10)
	request := []byte(fmt.Sprintf("POST /v2/models/%s/infer HTTP/1.1\r\nhost: millrace\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s", model, len(wire.RestRequest), wire.RestRequest))
	for time.Now().Before(until) {
		sent := time.Now()
		if _, err := connection.Write(request); err != nil {
			return result{err: err}
		}
		if err := readRestAnswer(reader); err != nil {
			return result{requests: r.requests, err: err}
		}
		r.requests++
		r.took = append(r.took, time.Since(sent))
	}
	return r
}

func readRestAnswer(reader *bufio.Reader) error {
	length, status := -1, ""
	for first := true; ; first = false {
		line, err := reader.ReadSlice('\n')
		if err != nil {
			return err
		}
		line = bytes.TrimRight(line, "\r\n")
		if first {
			status = string(line)
			continue
		}
		if len(line) == 0 {
			break
		}
		if name, value, found := bytes.Cut(line, []byte(":")); found && bytes.EqualFold(name, []byte("content-length")) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return err
			}
		}
	}
	if length < 0 {
		return fmt.Errorf("answer without content-length: %s", status)
	}
	if _, err := reader.Discard(length); err != nil {
		return err
	}
	if status != "HTTP/1.1 200 OK" {
		return fmt.Errorf("answer %q", status)
	}
	return nil
}

func runGrpc(address, model string, until time.Time) (r result) {
	connection, err := net.Dial("tcp", address)
	if err != nil {
		return result{err: err}
	}
	defer connection.Close()
	client, err := newGrpcClient(connection, model)
	if err != nil {
		return result{err: err}
	}
	for time.Now().Before(until) {
		sent := time.Now()
		if err := client.call(); err != nil {
			return result{requests: r.requests, err: err}
		}
		r.requests++
		r.took = append(r.took, time.Since(sent))
	}
	return r
}

type grpcClient struct {
	connection net.Conn
	framer     *http2.Framer
	out        bytes.Buffer
	encoder    *hpack.Encoder
	block      bytes.Buffer
	fields     []hpack.HeaderField
	message    []byte
	stream     uint32
	received   uint32
}

func newGrpcClient(connection net.Conn, model string) (*grpcClient, error) {
	client := &grpcClient{connection: connection, message: wire.GrpcRequest(model), stream: 1}
	client.framer = http2.NewFramer(&client.out, bufio.NewReaderSize(connection, 64<<10))
	client.framer.SetReuseFrames()
	client.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	client.encoder = hpack.NewEncoder(&client.block)
	for _, pair := range [][2]string{
		{":method", "POST"}, {":scheme", "http"}, {":path", "/inference.GRPCInferenceService/ModelInfer"}, {":authority", "millrace"},
		{"content-type", "application/grpc"}, {"te", "trailers"}, {"seldon-model", model},
	} {
		client.fields = append(client.fields, hpack.HeaderField{Name: pair[0], Value: pair[1]})
	}
	client.out.WriteString(http2.ClientPreface)
	if err := client.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20}); err != nil {
		return nil, err
	}
	if err := client.framer.WriteWindowUpdate(0, 1<<30); err != nil {
		return nil, err
	}
	return client, nil
}

func (c *grpcClient) call() error {
	c.block.Reset()
	for _, field := range c.fields {
		if err := c.encoder.WriteField(field); err != nil {
			return err
		}
	}
	if err := c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: c.stream, BlockFragment: c.block.Bytes(), EndHeaders: true}); err != nil {
		return err
	}
	if err := c.framer.WriteData(c.stream, true, c.message); err != nil {
		return err
	}
	if _, err := c.out.WriteTo(c.connection); err != nil {
		return err
	}
	defer func() { c.stream += 2 }()
	status := ""
	for {
		frame, err := c.framer.ReadFrame()
		if err != nil {
			return err
		}
		ended := false
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				err = c.framer.WriteSettingsAck()
			}
		case *http2.PingFrame:
			if !frame.IsAck() {
				err = c.framer.WritePing(true, frame.Data)
			}
		case *http2.DataFrame:
			if c.received += uint32(len(frame.Data())); c.received > 1<<28 {
				err = c.framer.WriteWindowUpdate(0, c.received)
				c.received = 0
			}
			ended = frame.StreamEnded()
		case *http2.MetaHeadersFrame:
			for _, field := range frame.Fields {
				if field.Name == "grpc-status" {
					status = field.Value
				}
				if field.Name == "grpc-message" && field.Value != "" {
					status += " " + field.Value
				}
			}
			ended = frame.StreamEnded()
		case *http2.RSTStreamFrame:
			return fmt.Errorf("stream reset: %v", frame.ErrCode)
		case *http2.GoAwayFrame:
			return io.EOF
		}
		if err != nil {
			return err
		}
		if ended {
			if status != "0" {
				return fmt.Errorf("grpc-status %q", status)
			}
			return nil
		}
	}
}
