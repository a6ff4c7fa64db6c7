package local_test

import (
	"os"
	"testing"

	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/engine/enginetest"
	"github.com/plexus-network/plexus/engine/gguf"
	"github.com/plexus-network/plexus/engine/local"
)

func TestMain(m *testing.M) {
	local.ServeIfAsked()
	os.Exit(m.Run())
}

func TestConforms(t *testing.T) {
	enginetest.Run(t, enginetest.Kit{Tolerance: 0.06, Open: func(t *testing.T) engine.Text {
		e, err := local.Open(t.Context(), enginetest.RandomModel(t, enginetest.Shape{Type: gguf.Q8_0}), local.Options{Command: os.Args[:1]})
		if err != nil {
			t.Fatal(err)
		}
		return e
	}})
}
