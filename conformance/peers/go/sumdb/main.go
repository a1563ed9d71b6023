// Sumdb checks a log with the note and tlog packages of the Go project: the head, every tile and entry, proofs from tiles.
package main

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"tlog.invalid/conformance/peers/task"
)

func main() { task.Run(check) }

func check(t task.Task) (int64, string, error) {
	verifier, err := note.NewVerifier(t.VKey)
	if err != nil {
		return 0, "", err
	}
	remote := &tiles{url: t.URL, kept: map[string][]byte{}}
	signed, err := remote.get("checkpoint")
	if err != nil {
		return 0, "", err
	}
	tree, err := open(signed, verifier)
	if err != nil {
		return 0, "", fmt.Errorf("checkpoint: %w", err)
	}
	if tree.N == 0 {
		return 0, "head", nil
	}
	hashes := tlog.TileHashReader(tree, remote)
	if err := checkEntries(remote, tree, hashes); err != nil {
		return 0, "", err
	}
	if err := checkProofs(tree, hashes); err != nil {
		return 0, "", err
	}
	checked := "head, every tile and entry, record and tree proofs"
	if t.Old == nil {
		return tree.N, checked, nil
	}
	old, err := open(t.Old, verifier)
	if err != nil {
		return 0, "", fmt.Errorf("older checkpoint: %w", err)
	}
	return tree.N, checked + fmt.Sprintf(", growth from %d", old.N), checkGrowth(tree, old, hashes)
}

// open verifies a note and reads the three lines of a checkpoint, of the origin that the key is named for.
func open(signed []byte, verifier note.Verifier) (tlog.Tree, error) {
	opened, err := note.Open(signed, note.VerifierList(verifier))
	if err != nil {
		return tlog.Tree{}, err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[3] != "" || lines[0] != verifier.Name() {
		return tlog.Tree{}, fmt.Errorf("not three lines of %s: %q", verifier.Name(), opened.Text)
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || strconv.FormatInt(size, 10) != lines[1] || size < 0 {
		return tlog.Tree{}, fmt.Errorf("size %q", lines[1])
	}
	root, err := base64.StdEncoding.Strict().DecodeString(lines[2])
	if err != nil || len(root) != tlog.HashSize {
		return tlog.Tree{}, fmt.Errorf("root %q", lines[2])
	}
	return tlog.Tree{N: size, Hash: tlog.Hash(root)}, nil
}

// checkEntries hashes every entry of every bundle and compares with the leaf in the authenticated tile.
func checkEntries(remote *tiles, tree tlog.Tree, hashes tlog.HashReader) error {
	for first := int64(0); first < tree.N; first += 256 {
		width := min(256, tree.N-first)
		bundle, err := remote.get(path(tlog.Tile{H: 8, L: -1, N: first / 256, W: int(width)}))
		if err != nil {
			return err
		}
		indexes := make([]int64, width)
		for i := range indexes {
			indexes[i] = tlog.StoredHashIndex(0, first+int64(i))
		}
		leaves, err := hashes.ReadHashes(indexes)
		if err != nil {
			return err
		}
		for i, leaf := range leaves {
			if len(bundle) < 2 || len(bundle) < 2+int(binary.BigEndian.Uint16(bundle)) {
				return fmt.Errorf("bundle of entry %d is too short", first+int64(i))
			}
			end := 2 + int(binary.BigEndian.Uint16(bundle))
			if tlog.RecordHash(bundle[2:end]) != leaf {
				return fmt.Errorf("entry %d does not hash to its leaf", first+int64(i))
			}
			bundle = bundle[end:]
		}
		if len(bundle) > 0 {
			return fmt.Errorf("bundle of entry %d has %d bytes too many", first, len(bundle))
		}
	}
	return nil
}

// checkProofs proves records and older trees from the tiles and checks the proofs against the head.
func checkProofs(tree tlog.Tree, hashes tlog.HashReader) error {
	for _, i := range task.Samples(tree.N) {
		leaf, err := hashes.ReadHashes([]int64{tlog.StoredHashIndex(0, i)})
		if err != nil {
			return err
		}
		record, err := tlog.ProveRecord(tree.N, i, hashes)
		if err != nil {
			return err
		}
		if err := tlog.CheckRecord(record, tree.N, tree.Hash, i, leaf[0]); err != nil {
			return fmt.Errorf("record %d: %w", i, err)
		}
		root, err := tlog.TreeHash(i+1, hashes)
		if err != nil {
			return err
		}
		if err := checkGrowth(tree, tlog.Tree{N: i + 1, Hash: root}, hashes); err != nil {
			return err
		}
	}
	return nil
}

func checkGrowth(tree, old tlog.Tree, hashes tlog.HashReader) error {
	if old.N == 0 {
		return nil
	}
	proof, err := tlog.ProveTree(tree.N, old.N, hashes)
	if err != nil {
		return err
	}
	if err := tlog.CheckTree(proof, tree.N, tree.Hash, old.N, old.Hash); err != nil {
		return fmt.Errorf("tree of %d is no continuation of that of %d: %w", tree.N, old.N, err)
	}
	return nil
}

// path is C2SP tlog-tiles' spelling of a tile: without the height, and `entries` for the records.
func path(t tlog.Tile) string {
	return strings.Replace(strings.Replace(t.Path(), "tile/8/", "tile/", 1), "tile/data/", "tile/entries/", 1)
}

// tiles reads tiles by HTTP, and keeps those that the tlog package has authenticated.
type tiles struct {
	url  string
	kept map[string][]byte
}

func (t *tiles) Height() int { return 8 }

func (t *tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	found := make([][]byte, len(wanted))
	for i, tile := range wanted {
		if data, ok := t.kept[path(tile)]; ok {
			found[i] = data
			continue
		}
		data, err := t.get(path(tile))
		if err != nil {
			return nil, err
		}
		found[i] = data
	}
	return found, nil
}

func (t *tiles) SaveTiles(wanted []tlog.Tile, data [][]byte) {
	for i, tile := range wanted {
		t.kept[path(tile)] = data[i]
	}
}

func (t *tiles) get(name string) ([]byte, error) {
	response, err := http.Get(t.url + name)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", name, response.Status)
	}
	return io.ReadAll(io.LimitReader(response.Body, 32<<20))
}
