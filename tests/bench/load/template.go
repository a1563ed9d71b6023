package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
)

// The marks in a request that are written anew each time: digits of a number of its own, the connection's, and the
// connection's next sequence, with blanks in front, for JSON has no leading zeros.
var marks = []struct {
	text  string
	skip  int // bytes of text before the digits
	width int
	blank byte
}{
	{"app-000000000000", 4, 12, '0'},
	{"client-000000", 7, 6, '0'},
	{`"sequence":000000000000`, 11, 12, ' '},
}

const (
	unique = iota
	client
	sequence
)

type stamp struct {
	kind int
	at   int
}

type template struct {
	bytes  []byte
	stamps []stamp
}

func readTemplates(path string) ([]template, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var found []template
	for len(data) >= 4 {
		length := int(binary.LittleEndian.Uint32(data))
		if len(data) < 4+length {
			break
		}
		found = append(found, newTemplate(data[4:4+length]))
		data = data[4+length:]
	}
	if len(data) != 0 || len(found) == 0 {
		return nil, errors.New("the file of templates is cut off")
	}
	return found, nil
}

func newTemplate(text []byte) template {
	one := template{bytes: text}
	for kind, mark := range marks {
		for start := 0; ; {
			at := bytes.Index(text[start:], []byte(mark.text))
			if at < 0 {
				break
			}
			one.stamps = append(one.stamps, stamp{kind, start + at + mark.skip})
			start += at + len(mark.text)
		}
	}
	return one
}

// write puts `value` in decimal at the mark.
func (s stamp) write(request []byte, value int64) {
	mark := marks[s.kind]
	for at := s.at + mark.width - 1; at >= s.at; at-- {
		if value == 0 && at < s.at+mark.width-1 {
			request[at] = mark.blank
			continue
		}
		request[at] = byte('0' + value%10)
		value /= 10
	}
}
