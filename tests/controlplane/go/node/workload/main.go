// Command workload is what the pods of the whole cluster run, and their sandboxes too: it waits until it is
// told to end. "workload env NAME" prints what the container's first process has in its environment, and
// "workload file PATH" a file, for whoever asks from inside.
package main

import (
	"bytes"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	if len(os.Args) == 3 {
		if err := show(os.Args[1], os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	ending := make(chan os.Signal, 1)
	signal.Notify(ending, syscall.SIGINT, syscall.SIGTERM)
	<-ending
}

func show(kind, name string) error {
	if kind == "file" {
		content, err := os.ReadFile(name)
		if err == nil {
			os.Stdout.Write(content)
		}
		return err
	}
	environment, err := os.ReadFile("/proc/1/environ")
	if err != nil {
		return err
	}
	for _, pair := range bytes.Split(environment, []byte{0}) {
		if value, ours := bytes.CutPrefix(pair, []byte(name+"=")); ours {
			os.Stdout.Write(value)
			return nil
		}
	}
	return fmt.Errorf("%s is not set", name)
}
