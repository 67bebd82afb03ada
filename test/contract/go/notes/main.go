// Answers questions about signed notes and Merkle trees with golang.org/x/mod/sumdb: one JSON object a line, both ways.
package main

import (
	"bufio"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type place struct {
	Index int64 `json:"index"`
	Size  int64 `json:"size"`
}

type question struct {
	Op string `json:"op"`
	// open, sign
	Note string   `json:"note"`
	Text string   `json:"text"`
	Name string   `json:"name"`
	Key  string   `json:"key"`
	Keys []string `json:"keys"`
	// roots, proofs: the records' hashes in hex
	Hashes []string `json:"hashes"`
	Sizes  []int64  `json:"sizes"`
	Places []place  `json:"places"`
	// check
	place
	Hash string   `json:"hash"`
	Root string   `json:"root"`
	Path []string `json:"path"`
}

type answer struct {
	Error  string     `json:"error,omitempty"`
	Text   string     `json:"text,omitempty"`
	Note   string     `json:"note,omitempty"`
	Signer string     `json:"signer,omitempty"`
	Key    string     `json:"key,omitempty"`
	Keys   []string   `json:"keys,omitempty"`
	Roots  []string   `json:"roots,omitempty"`
	Paths  [][]string `json:"paths,omitempty"`
}

func main() {
	in, out := bufio.NewReaderSize(os.Stdin, 1<<20), json.NewEncoder(os.Stdout)
	for decoder := json.NewDecoder(in); decoder.More(); {
		var asked question
		if err := decoder.Decode(&asked); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		told, err := reply(asked)
		if err != nil {
			told = answer{Error: err.Error()}
		}
		if err := out.Encode(told); err != nil {
			os.Exit(1)
		}
	}
}

func reply(asked question) (answer, error) {
	switch asked.Op {
	case "open":
		return open(asked)
	case "newkey":
		signer, key, err := note.GenerateKey(rand.Reader, asked.Name)
		return answer{Signer: signer, Key: key}, err
	case "sign":
		signer, err := note.NewSigner(asked.Key)
		if err != nil {
			return answer{}, err
		}
		signed, err := note.Sign(&note.Note{Text: asked.Text}, signer)
		return answer{Note: string(signed)}, err
	case "roots":
		return roots(asked)
	case "proofs":
		return proofs(asked)
	case "check":
		return answer{}, check(asked)
	}
	return answer{}, errors.New("unknown question")
}

func open(asked question) (answer, error) {
	verifiers := []note.Verifier{}
	for _, key := range asked.Keys {
		verifier, err := note.NewVerifier(key)
		if err != nil {
			return answer{}, err
		}
		verifiers = append(verifiers, verifier)
	}
	opened, err := note.Open([]byte(asked.Note), note.VerifierList(verifiers...))
	if err != nil {
		return answer{}, err
	}
	signers := []string{}
	for _, sig := range opened.Sigs {
		signers = append(signers, fmt.Sprintf("%s+%08x", sig.Name, sig.Hash))
	}
	return answer{Text: opened.Text, Keys: signers}, nil
}

// stored has the hashes of all nodes of a log of records, whose data are the 32 bytes of their hashes.
func stored(hashes []string) (tlog.HashReader, error) {
	nodes := []tlog.Hash{}
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		read := []tlog.Hash{}
		for _, index := range indexes {
			read = append(read, nodes[index])
		}
		return read, nil
	})
	for n, text := range hashes {
		data, err := hex.DecodeString(text)
		if err != nil {
			return nil, err
		}
		more, err := tlog.StoredHashes(int64(n), data, reader)
		if err != nil {
			return nil, err
		}
		nodes = append(nodes, more...)
	}
	return reader, nil
}

func roots(asked question) (answer, error) {
	reader, err := stored(asked.Hashes)
	if err != nil {
		return answer{}, err
	}
	found := []string{}
	for _, size := range asked.Sizes {
		root, err := tlog.TreeHash(size, reader)
		if err != nil {
			return answer{}, err
		}
		found = append(found, hex.EncodeToString(root[:]))
	}
	return answer{Roots: found}, nil
}

func proofs(asked question) (answer, error) {
	reader, err := stored(asked.Hashes)
	if err != nil {
		return answer{}, err
	}
	found := [][]string{}
	for _, at := range asked.Places {
		proof, err := tlog.ProveRecord(at.Size, at.Index, reader)
		if err != nil {
			return answer{}, err
		}
		path := []string{}
		for _, digest := range proof {
			path = append(path, hex.EncodeToString(digest[:]))
		}
		found = append(found, path)
	}
	return answer{Paths: found}, nil
}

func check(asked question) error {
	data, err := hex.DecodeString(asked.Hash)
	if err != nil {
		return err
	}
	root, err := digest(asked.Root)
	if err != nil {
		return err
	}
	proof := tlog.RecordProof{}
	for _, text := range asked.Path {
		step, err := digest(text)
		if err != nil {
			return err
		}
		proof = append(proof, step)
	}
	return tlog.CheckRecord(proof, asked.Size, root, asked.Index, tlog.RecordHash(data))
}

func digest(text string) (tlog.Hash, error) {
	bytes, err := hex.DecodeString(text)
	if err != nil || len(bytes) != tlog.HashSize {
		return tlog.Hash{}, errors.New("not a digest: " + text)
	}
	return tlog.Hash(bytes), nil
}
