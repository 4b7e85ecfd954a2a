// A minimal instant OIP server: the least a model server can cost, so that what is left is the path before it.
// REST over HTTP/1.1 and gRPC over h2c, one goroutine a connection, fixed answers, no allocation worth naming.
package main

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"millrace/bench/native/wire"
)

// How gRPC inferences are answered.
var raw = flag.Bool("raw", false, "answer with raw contents, as servers answer those who sent such")

func main() {
	host := flag.String("host", "127.0.0.1", "address to listen on")
	restPort := flag.Int("rest-port", 0, "REST port")
	grpcPort := flag.Int("grpc-port", 0, "gRPC port")
	more := flag.String("more", "", "further pairs of ports, as 10001:10002,10003:10004, each like a server of its own")
	flag.String("repository", "", "taken because every model server is started with it; nothing is read")
	flag.Parse()
	go serve(*host, *restPort, serveRest)
	go serve(*host, *grpcPort, serveGrpc)
	for _, pair := range strings.FieldsFunc(*more, func(r rune) bool { return r == ',' }) {
		var rest, grpc int
		if _, err := fmt.Sscanf(pair, "%d:%d", &rest, &grpc); err != nil {
			log.Fatalf("-more: %q is not rest:grpc: %v", pair, err)
		}
		go serve(*host, rest, serveRest)
		go serve(*host, grpc, serveGrpc)
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	<-signals
}

func serve(host string, port int, handle func(net.Conn) error) {
	listener, err := net.Listen("tcp", fmt.Sprintf("%s:%d", host, port))
	if err != nil {
		log.Fatalf("cannot listen on port %d: %v", port, err)
	}
	for {
		connection, err := listener.Accept()
		if err != nil {
			log.Fatalf("accept: %v", err)
		}
		go func() {
			defer connection.Close()
			if err := handle(connection); err != nil && err != io.EOF {
				log.Printf("connection ended: %v", err)
			}
		}()
	}
}

func serveRest(connection net.Conn) error {
	reader := bufio.NewReaderSize(connection, 64<<10)
	answer := []byte(fmt.Sprintf("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s", len(wire.RestAnswer), wire.RestAnswer))
	for {
		length, err := readHead(reader)
		if err != nil {
			return err
		}
		if _, err := reader.Discard(length); err != nil {
			return err
		}
		if _, err := connection.Write(answer); err != nil {
			return err
		}
	}
}

// readHead reads the request line and headers and returns the content length.
func readHead(reader *bufio.Reader) (int, error) {
	length := 0
	for first := true; ; first = false {
		line, err := reader.ReadSlice('\n')
		if err != nil {
			return 0, err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 && !first {
			return length, nil
		}
		if name, value, found := bytes.Cut(line, []byte(":")); found && bytes.EqualFold(name, []byte("content-length")) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return 0, err
			}
		}
	}
}

// The connection's window is given back in steps of this many bytes, far below the window and far above a request.
const windowStep = 1 << 24

func serveGrpc(connection net.Conn) error {
	reader := bufio.NewReaderSize(connection, 64<<10)
	preface := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(reader, preface); err != nil {
		return err
	}
	var out bytes.Buffer
	framer := http2.NewFramer(&out, reader)
	framer.SetReuseFrames()
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if err := framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 30}, http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 1 << 20}); err != nil {
		return err
	}
	if err := framer.WriteWindowUpdate(0, 1<<30); err != nil {
		return err
	}
	blocks := encodeBlocks()
	methods := map[uint32]string{}
	taken := uint32(0)
	infer := wire.GrpcAnswer(*raw)
	for {
		// Answers are flushed when nothing more can be read without waiting.
		if reader.Buffered() == 0 {
			if _, err := out.WriteTo(connection); err != nil {
				return err
			}
		}
		frame, err := framer.ReadFrame()
		if err != nil {
			return err
		}
		ended := uint32(0)
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				err = framer.WriteSettingsAck()
			}
		case *http2.PingFrame:
			if !frame.IsAck() {
				err = framer.WritePing(true, frame.Data)
			}
		case *http2.MetaHeadersFrame:
			methods[frame.StreamID] = frame.PseudoValue("path")
			if frame.StreamEnded() {
				ended = frame.StreamID
			}
		case *http2.DataFrame:
			if taken += uint32(len(frame.Data())); taken >= windowStep {
				err = framer.WriteWindowUpdate(0, taken)
				taken = 0
			}
			if frame.StreamEnded() {
				ended = frame.StreamID
			}
		case *http2.RSTStreamFrame:
			delete(methods, frame.StreamID)
		case *http2.GoAwayFrame:
			return io.EOF
		}
		if err != nil {
			return err
		}
		if ended != 0 {
			answer := answerFor(methods[ended], infer)
			delete(methods, ended)
			if err := writeAnswer(framer, ended, blocks, answer); err != nil {
				return err
			}
		}
	}
}

// answerFor gives the canned answer of a method, so that a real agent finds a live server that loads everything.
func answerFor(path string, infer []byte) []byte {
	switch path[strings.LastIndexByte(path, '/')+1:] {
	case "ModelInfer":
		return infer
	case "ServerLive", "ServerReady", "ModelReady":
		return wire.True()
	default:
		return wire.Empty()
	}
}

type headerBlocks struct{ head, tail []byte }

// encodeBlocks encodes both header blocks once, without the dynamic table, so that they may be repeated.
func encodeBlocks() headerBlocks {
	encode := func(fields ...hpack.HeaderField) []byte {
		var block bytes.Buffer
		encoder := hpack.NewEncoder(&block)
		encoder.SetMaxDynamicTableSizeLimit(0)
		for _, field := range fields {
			field.Sensitive = field.Name[0] != ':'
			if err := encoder.WriteField(field); err != nil {
				log.Fatalf("hpack: %v", err)
			}
		}
		return block.Bytes()
	}
	return headerBlocks{
		head: encode(hpack.HeaderField{Name: ":status", Value: "200"}, hpack.HeaderField{Name: "content-type", Value: "application/grpc"}),
		tail: encode(hpack.HeaderField{Name: "grpc-status", Value: "0"}),
	}
}

func writeAnswer(framer *http2.Framer, stream uint32, blocks headerBlocks, answer []byte) error {
	if err := framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: blocks.head, EndHeaders: true}); err != nil {
		return err
	}
	if err := framer.WriteData(stream, false, answer); err != nil {
		return err
	}
	return framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: blocks.tail, EndHeaders: true, EndStream: true})
}
