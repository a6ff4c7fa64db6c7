package text

import "github.com/plexus-network/plexus/subnet"

// maxDossier bounds the bytes kept of one miner's checked answers.
const maxDossier = 1 << 20

// dossier holds a miner's checked answers since its test last came to an end.
type dossier struct {
	exhibits []Exhibit
	size     int
}

func (d *dossier) add(x Exhibit) {
	d.exhibits = append(d.exhibits, x)
	d.size += x.size()
	for len(d.exhibits) > maxExhibits || d.size > maxDossier {
		d.size -= d.exhibits[0].size()
		d.exhibits = d.exhibits[1:]
	}
}

// file puts a checked answer into its miner's dossier, and closes the dossier
// when the test has ended: with a conviction it becomes a bundle. The caller
// holds mu.
func (m *Mechanism) file(t subnet.Trial, v verdict, proven bool) (b Bundle, ok bool) {
	if m.options.Fraud == nil || v.evidence == 0 {
		return b, false
	}
	uid := t.Task.Miner.UID
	if x, provable := exhibitOf(t.Answer); provable {
		if m.dossiers[uid] == nil {
			m.dossiers[uid] = &dossier{}
		}
		m.dossiers[uid].add(x)
	}
	if r := m.records[uid]; !proven && r.Evidence != 0 {
		return b, false
	}
	d := m.dossiers[uid]
	delete(m.dossiers, uid)
	if !proven || d == nil || len(d.exhibits) == 0 {
		return b, false
	}
	return Bundle{Manifest: m.manifest, Exhibits: d.exhibits}, true
}
