// Command probe is what a compute subnet's validators run on the machines that
// they rent: a server that does exercises (see package exercise).
//
// Its key is in $KEY, the port that it listens on in $PORT (8080), and a folder
// on a persistent volume, if it has one, in $DATA. It takes nothing else from
// its container, and needs nothing in its image but itself.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/plexus-network/plexus/subnet/compute/exercise"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "probe:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	key := os.Getenv("KEY")
	if key == "" {
		return errors.New("no key in $KEY: whoever asks for exercises must know one")
	}
	const scratch = "/scratch" // a sandbox may keep /tmp in memory
	if err := os.MkdirAll(scratch, 0o700); err != nil {
		return err
	}
	server := &http.Server{
		Addr:              net.JoinHostPort("", cmp.Or(os.Getenv("PORT"), "8080")),
		Handler:           &exercise.Server{Key: key, Scratch: scratch, Volume: os.Getenv("DATA")},
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
	}
	go func() {
		<-ctx.Done()
		_ = server.Close() // what it held is nobody's any more
	}()
	fmt.Println("listening on", server.Addr)
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
