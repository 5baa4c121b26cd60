package main

import (
	"debug/buildinfo"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

// writeBill writes what is in a binary, as the binary itself says, in CycloneDX.
func writeBill(out, binary, version string, at time.Time) error {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return err
	}
	f, err := os.Create(out)
	if err != nil {
		return err
	}
	e := cdx.NewBOMEncoder(f, cdx.BOMFileFormatJSON).SetPretty(true)
	if err := e.EncodeVersion(bill(info, version, at), cdx.SpecVersion1_6); err != nil {
		return err
	}
	return f.Close()
}

// bill lists the modules of a binary, and the standard library, which has faults of its own.
func bill(info *debug.BuildInfo, version string, at time.Time) *cdx.BOM {
	b := cdx.NewBOM()
	product := component(&debug.Module{Path: info.Main.Path, Version: "v" + version})
	product.Type = cdx.ComponentTypeApplication
	b.Metadata = &cdx.Metadata{Timestamp: at.Format(time.RFC3339), Component: &product}
	all := []cdx.Component{component(&debug.Module{Path: "std", Version: strings.TrimPrefix(info.GoVersion, "go")})}
	uses := []string{all[0].BOMRef}
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		c := component(m)
		all, uses = append(all, c), append(uses, c.BOMRef)
	}
	b.Components = &all
	b.Dependencies = &[]cdx.Dependency{{Ref: product.BOMRef, Dependencies: &uses}}
	return b
}

func component(m *debug.Module) cdx.Component {
	url := fmt.Sprintf("pkg:golang/%s@%s", m.Path, m.Version)
	return cdx.Component{BOMRef: url, Type: cdx.ComponentTypeLibrary, Name: m.Path, Version: m.Version, PackageURL: url}
}
