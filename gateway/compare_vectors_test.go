package gateway

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"
	"time"
)

// mockEmbedder asks the mock for vectors.
type mockEmbedder struct{ client *http.Client }

func (m mockEmbedder) Embed(ctx context.Context, texts []string) ([][]float32, int, error) {
	body, err := json.Marshal(map[string]any{"model": "toy", "input": texts, "encoding_format": "base64"})
	if err != nil {
		return nil, 0, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, mockURL+"/v1/embeddings", bytes.NewReader(body))
	if err != nil {
		return nil, 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := m.client.Do(req)
	if err != nil {
		return nil, 0, err
	}
	defer res.Body.Close()
	var in struct {
		Data []struct {
			Embedding []byte
		}
		Usage struct {
			Tokens int `json:"prompt_tokens"`
		}
	}
	if err := json.NewDecoder(res.Body).Decode(&in); err != nil {
		return nil, 0, err
	}
	out := make([][]float32, len(in.Data))
	for i, d := range in.Data {
		out[i] = make([]float32, len(d.Embedding)/4)
		for j := range out[i] {
			out[i][j] = math.Float32frombits(binary.LittleEndian.Uint32(d.Embedding[4*j:]))
		}
	}
	return out, in.Usage.Tokens, nil
}

// vector asks for one text's embedding as the openai package does, in base64.
func vector(client *http.Client, w proxied) (first, gap time.Duration, err error) {
	began := time.Now()
	req, err := http.NewRequest(http.MethodPost, w.url+"/v1/embeddings", strings.NewReader(`{"model":"toy","input":"a lighthouse by the sea","encoding_format":"base64"}`))
	if err != nil {
		return 0, 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer none")
	for k, v := range w.header {
		req.Header.Set(k, v)
	}
	res, err := client.Do(req)
	if err != nil {
		return 0, 0, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != 200 || len(body) < mockWidth*4*4/3 {
		return 0, 0, fmt.Errorf("status %d, %d bytes, %w", res.StatusCode, len(body), err)
	}
	return time.Since(began), 0, nil
}
