package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/plexus-network/plexus/provider/alert"
)

func TestWebhookTrial(t *testing.T) {
	got := make(chan error, 1)
	fine := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- alert.Verify("secret", r.Header.Get(alert.SignatureHeader), body)
	}))
	defer fine.Close()
	if ok, err := tryWebhook(t.Context(), alert.Hook{URL: fine.URL, Secret: "secret"}); !ok || err != nil {
		t.Errorf("delivered %v, %v", ok, err)
	}
	if err := <-got; err != nil {
		t.Error(err)
	}
	bad := httptest.NewServer(http.NotFoundHandler())
	defer bad.Close()
	if ok, err := tryWebhook(t.Context(), alert.Hook{URL: bad.URL}); ok || err != nil {
		t.Errorf("delivered %v to one that answers 404, %v", ok, err)
	}
}
