package external

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// service is a program that is reached by HTTP: POST URL/v1/METHOD with the
// parameters as the body, answered by the lines that a program would write.
type service struct {
	base   *url.URL
	client *http.Client
}

func newService(base *url.URL) *service {
	return &service{base: base, client: &http.Client{
		Transport: &http.Transport{MaxIdleConnsPerHost: maxCalls, MaxResponseHeaderBytes: 64 << 10},
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return errors.New("a mechanism does not redirect")
		},
	}}
}

func (s *service) call(ctx context.Context, method string, params any, onChunk func([]byte) error) (json.RawMessage, error) {
	body, err := json.Marshal(params)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.base.JoinPath("v1", method).String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	answer, err := s.client.Do(r)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("%w: %w", ErrProgram, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%w: %s answers with status %d, 200 is wanted", ErrProgram, r.URL, answer.StatusCode)
	}
	result, err := read(ctx, answer.Body, method, onChunk)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return result, err
}

// read reads the lines of one answer.
func read(ctx context.Context, body io.Reader, method string, onChunk func([]byte) error) (json.RawMessage, error) {
	lines := newLines(body)
	m := meter{ctx: ctx, onChunk: onChunk}
	for lines.Scan() {
		r, err := parseReply(lines.Bytes())
		switch {
		case err != nil:
			return nil, err
		case r.Chunk != nil:
			if err := m.take(*r.Chunk); err != nil {
				return nil, err
			}
		case r.Error != nil:
			return nil, r.Error.err(method)
		default:
			return r.Result, nil
		}
	}
	return nil, fmt.Errorf("%w: the answer to %s has no end: %w", ErrProgram, method, errors.Join(lines.Err(), io.ErrUnexpectedEOF))
}

func newLines(r io.Reader) *bufio.Scanner {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 4<<10), maxLine)
	return lines
}

func (s *service) close() error {
	s.client.CloseIdleConnections()
	return nil
}
