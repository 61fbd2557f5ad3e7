// Checks Prometheus' rules and expressions by Prometheus' own parsers.
//
// Arguments are files of rules; standard input has one expression a line. The exit status is 1 when one is wrong.
package main

import (
	"bufio"
	"fmt"
	"os"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
)

func main() {
	status := 0
	for _, path := range os.Args[1:] {
		groups, errs := rulefmt.ParseFile(path, false, model.UTF8Validation)
		for _, err := range errs {
			fmt.Println(err)
			status = 1
		}
		if groups == nil {
			continue
		}
		for _, group := range groups.Groups {
			fmt.Printf("%s: %d rules\n", group.Name, len(group.Rules))
		}
	}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		if _, err := parser.ParseExpr(lines.Text()); err != nil {
			fmt.Println(err)
			status = 1
		}
	}
	os.Exit(status)
}
