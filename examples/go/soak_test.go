package main

import (
	"errors"
	"os/exec"
	"path/filepath"
	"testing"
)

// Builds this package as a host would load it, and soaks it. A Go library is never unloaded, so the gate allows that.
func TestSoak(t *testing.T) {
	library := filepath.Join(t.TempDir(), "plugin.so")
	if out, err := exec.Command("go", "build", "-buildmode=c-shared", "-o", library, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	soak := exec.Command("dlsoak", "run", library, "--call", `g = Greet("bob") != null`, "--call", "Release(g)",
		"--allow-pinned=Go is never unloaded", "--until-decided", "--out", filepath.Join(t.TempDir(), "soak"))
	out, err := soak.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit) && exit.ExitCode() == 3:
		t.Skipf("no verdict is certain\n%s", out)
	case err != nil:
		t.Fatalf("dlsoak: %v\n%s", err, out)
	}
}
