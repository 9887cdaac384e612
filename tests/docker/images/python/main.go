// Writes the Python that the module embeds into a folder.
package main

import (
	"os"

	"github.com/kluctl/go-embed-python/python"
)

func main() {
	if _, err := python.NewEmbeddedPythonWithTmpDir(os.Args[1], false); err != nil {
		panic(err)
	}
}
