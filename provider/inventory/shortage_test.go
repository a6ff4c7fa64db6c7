package inventory

import "testing"

func TestShortageSpeaksInUnitsOfAnSDL(t *testing.T) {
	for want, s := range map[string]Shortage{
		"too little cpu: 64 cores asked for, 1.8 cores free":           {"cpu", 64000, 1800},
		"too little memory: 64Gi asked for, 512Mi free":                {"memory", 64 << 30, 512 << 20},
		"too little storage of class beta3: 1.5Gi asked for, 0Mi free": {"storage of class beta3", 3 << 29, -5},
		"too little ip addresses: 1 asked for, 0 free":                 {"ip addresses", 1, 0},
	} {
		if got := s.Error(); got != want {
			t.Errorf("%+v reads %q, want %q", s, got, want)
		}
	}
}
