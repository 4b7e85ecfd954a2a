package client

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"millrace/bench/native/wire"
)

type grpcCaller struct {
	net.Conn
	framer     *http2.Framer
	out        bytes.Buffer
	encoder    *hpack.Encoder
	block      bytes.Buffer
	fields     []hpack.HeaderField
	message    []byte
	stream     uint32
	received   uint32
}

func newGrpc(connection net.Conn) (*grpcCaller, error) {
	caller := &grpcCaller{Conn: connection, stream: 1}
	caller.framer = http2.NewFramer(&caller.out, bufio.NewReaderSize(connection, 64<<10))
	caller.framer.SetReuseFrames()
	caller.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	caller.encoder = hpack.NewEncoder(&caller.block)
	caller.out.WriteString(http2.ClientPreface)
	if err := caller.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20}); err != nil {
		return nil, err
	}
	if err := caller.framer.WriteWindowUpdate(0, 1<<30); err != nil {
		return nil, err
	}
	return caller, nil
}

func (c *grpcCaller) SetModel(model string) {
	c.message = wire.GrpcRequest(model)
	c.fields = c.fields[:0]
	for _, pair := range [][2]string{
		{":method", "POST"}, {":scheme", "http"}, {":path", "/inference.GRPCInferenceService/ModelInfer"}, {":authority", "millrace"},
		{"content-type", "application/grpc"}, {"te", "trailers"}, {"seldon-model", model},
	} {
		c.fields = append(c.fields, hpack.HeaderField{Name: pair[0], Value: pair[1]})
	}
}

func (c *grpcCaller) Call() error {
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
	if _, err := c.out.WriteTo(c.Conn); err != nil {
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
				return &StatusError{"grpc-status " + status}
			}
			return nil
		}
	}
}
