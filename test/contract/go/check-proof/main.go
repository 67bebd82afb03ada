// Checks what "countersign prove" wrote: check-proof PROOF KEYS
package main

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const header = "c2sp.org/tlog-proof@v1\n"

func main() {
	trusted := []note.Verifier{}
	for _, line := range strings.Split(read(os.Args[2]), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, err := note.NewVerifier(line)
		must(err)
		trusted = append(trusted, key)
	}
	proofs := strings.Split(read(os.Args[1]), header)
	require(len(proofs) > 1 && proofs[0] == "", "this is no proof")
	for _, proof := range proofs[1:] {
		fmt.Println("proven:", check(proof, note.VerifierList(trusted...)))
	}
}

// check returns the record that is proved.
func check(proof string, trusted note.Verifiers) string {
	head, signed, _ := strings.Cut(proof, "\n\n")
	lines := strings.Split(head, "\n")
	require(len(lines) > 1, "the proof is cut short")
	record := string(base64Of(strings.TrimPrefix(lines[0], "extra ")))
	index, err := strconv.ParseInt(strings.TrimPrefix(lines[1], "index "), 10, 64)
	must(err)
	path := tlog.RecordProof{}
	for _, line := range lines[2:] {
		path = append(path, hashOf(line))
	}

	// The checkpoint: trail, size and root, signed by a trusted key.
	opened, err := note.Open([]byte(signed), trusted)
	must(err)
	checkpoint := strings.Split(opened.Text, "\n")
	size, err := strconv.ParseInt(checkpoint[1], 10, 64)
	must(err)
	root := hashOf(checkpoint[2])

	// The record: its hash is that of its line without `,"hash":"…"`, and it says where it stands.
	cut := len(record) - len(`,"hash":"`) - 64 - len(`"}`)
	require(cut > 0, "the record is cut short")
	hash := sha256.Sum256([]byte(record[:cut] + "}"))
	require(record[cut:] == `,"hash":"`+hex.EncodeToString(hash[:])+`"}`, "the record does not have the hash that it carries")
	var place struct{ Trail, Sequence string }
	must(json.Unmarshal([]byte(record), &place))
	require(place.Trail == checkpoint[0], "the record is of another trail")
	require(place.Sequence == fmt.Sprintf("%016d", index+1), "the record has another place")

	must(tlog.CheckRecord(path, size, root, index, tlog.RecordHash(hash[:])))
	return record
}

func read(file string) string {
	bytes, err := os.ReadFile(file)
	must(err)
	return string(bytes)
}

func base64Of(text string) []byte {
	bytes, err := base64.StdEncoding.DecodeString(text)
	must(err)
	return bytes
}

func hashOf(text string) tlog.Hash {
	bytes := base64Of(text)
	require(len(bytes) == tlog.HashSize, "no digest: "+text)
	return tlog.Hash(bytes)
}

func must(err error) {
	if err != nil {
		require(false, err.Error())
	}
}

func require(holds bool, problem string) {
	if !holds {
		fmt.Println("NOT PROVEN:", problem)
		os.Exit(1)
	}
}
