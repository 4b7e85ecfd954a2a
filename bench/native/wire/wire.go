// Package wire holds the fixed requests and answers of the benchmark: one small FP32 tensor each way.
package wire

import "encoding/binary"

// RestRequest is the body of one REST inference.
const RestRequest = `{"inputs":[{"name":"predict","shape":[1,4],"datatype":"FP32","data":[5.1,3.5,1.4,0.2]}]}`

// RestAnswer is the body of one REST answer.
const RestAnswer = `{"model_name":"iris_1","outputs":[{"name":"predict","shape":[1],"datatype":"INT64","data":[0]}]}`

// Frame puts the 5-byte gRPC prefix before a message.
func Frame(message []byte) []byte {
	framed := make([]byte, 5, 5+len(message))
	binary.BigEndian.PutUint32(framed[1:5], uint32(len(message)))
	return append(framed, message...)
}

func field(number int, payload []byte) []byte {
	out := []byte{byte(number<<3 | 2)}
	out = binary.AppendUvarint(out, uint64(len(payload)))
	return append(out, payload...)
}

// GrpcRequest is a framed ModelInferRequest: model_name=1, inputs=5 {name=1, datatype=2, shape=3, contents=5 {fp32=6}}.
func GrpcRequest(model string) []byte {
	floats := make([]byte, 16)
	for i, bits := range []uint32{0x40a33333, 0x40600000, 0x3fb33333, 0x3e4ccccd} {
		binary.LittleEndian.PutUint32(floats[i*4:], bits)
	}
	input := append(field(1, []byte("predict")), field(2, []byte("FP32"))...)
	input = append(input, field(3, []byte{1, 4})...)
	input = append(input, field(5, field(6, floats))...)
	return Frame(append(field(1, []byte(model)), field(5, input)...))
}

// GrpcAnswer is a framed ModelInferResponse: model_name=1, outputs=5 {name=1, datatype=2, shape=3, contents=5 {int64=3}}, or, as
// servers answer those who sent raw contents, without these and with raw_output_contents=6.
func GrpcAnswer(raw bool) []byte {
	output := append(field(1, []byte("predict")), field(2, []byte("INT64"))...)
	output = append(output, field(3, []byte{1})...)
	if raw {
		return Frame(append(append(field(1, []byte("iris_1")), field(5, output)...), field(6, make([]byte, 8))...))
	}
	output = append(output, field(5, field(3, []byte{0}))...)
	return Frame(append(field(1, []byte("iris_1")), field(5, output)...))
}

// True is a framed message whose field 1 is true: ServerLive, ServerReady, ModelReady.
func True() []byte { return Frame([]byte{8, 1}) }

// Empty is a framed empty message: RepositoryModelLoad, RepositoryModelUnload, RepositoryIndex.
func Empty() []byte { return Frame(nil) }
