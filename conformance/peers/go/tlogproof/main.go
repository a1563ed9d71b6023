// Tlogproof reads a C2SP tlog-proof with github.com/transparency-dev/formats/proof, opens its checkpoint with formats/log, and
// verifies the inclusion of a leaf with transparency-dev/merkle.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"

	"github.com/transparency-dev/formats/log"
	"github.com/transparency-dev/formats/proof"
	merkle "github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"
)

func main() {
	file := flag.String("proof", "", "the .tlog-proof")
	leaf := flag.String("leaf", "", "the leaf's bytes; without it, the proof's extra data")
	vkey := flag.String("vkey", "", "the key of the log of the checkpoint")
	flag.Parse()
	answer, err := check(*file, *leaf, *vkey)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if err := json.NewEncoder(os.Stdout).Encode(answer); err != nil {
		os.Exit(1)
	}
}

type answer struct {
	Index uint64 `json:"index"`
	Size  uint64 `json:"size"`
	Same  bool   `json:"same"` // written again, it is the same file
}

func check(file, leaf, vkey string) (answer, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return answer{}, err
	}
	var p proof.TLogProof
	if err := p.Unmarshal(data); err != nil {
		return answer{}, err
	}
	entry := p.ExtraData
	if leaf != "" {
		if entry, err = os.ReadFile(leaf); err != nil {
			return answer{}, err
		}
	}
	if len(entry) == 0 {
		return answer{}, errors.New("no leaf")
	}
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return answer{}, err
	}
	checkpoint, _, _, err := log.ParseCheckpoint(p.Checkpoint, verifier.Name(), verifier)
	if err != nil {
		return answer{}, err
	}
	hashes := make([][]byte, len(p.Hashes))
	for i := range p.Hashes {
		hashes[i] = p.Hashes[i][:]
	}
	hasher := rfc6962.DefaultHasher
	if err := merkle.VerifyInclusion(hasher, p.Index, checkpoint.Size, hasher.HashLeaf(entry), hashes, checkpoint.Hash); err != nil {
		return answer{}, err
	}
	return answer{p.Index, checkpoint.Size, string(p.Marshal()) == string(data)}, nil
}
