// Whether the answer that was given is the one that its receipt's own figures
// put first, counted again as plexus receipt verify does (gateway/receipt/rank.go).

import { w } from './words'

interface Miner {
  uid: number
  verdict: string
  score: number | null
  chosen: boolean
  standing?: number
  examined?: boolean
  role?: string
  mean_logprob?: number
  vote_weight?: number
}

interface Vote {
  answer_sha256: string
  weight: number
  miners: number[] // places in the receipt's miners
}

interface Ranked {
  ranked_by?: string
  verified_only?: boolean
  miners: Miner[]
  votes: Vote[] | null
}

/** What was found: that it holds, that it does not, or that the receipt cannot tell. */
export interface Chosen {
  ok: boolean | null
  why: string
}

/** Checks what is said to have put the answer first. */
export function chosen(receipt: Record<string, unknown>): Chosen {
  const r = receipt as unknown as Ranked
  switch (r.ranked_by) {
    case 'score':
      return highest(r, w.receipt.score, (m) => m.score ?? undefined)
    case 'logprob':
      return highest(r, w.receipt.logprob, (m) => m.mean_logprob)
    case 'votes': {
      const wrong = count(r)
      const n = r.votes?.reduce((sum, v) => sum + v.miners.length, 0) ?? 0
      return wrong ? { ok: false, why: wrong } : { ok: true, why: w.receipt.voted(r.votes![0]!.weight, r.votes!.length, n) }
    }
    case 'judge':
    case 'merge': {
      const judge = r.miners.find((m) => m.role === 'judge' && (r.ranked_by === 'judge' || m.chosen))
      return judge ? { ok: true, why: w.receipt.judged(judge.uid) } : { ok: false, why: w.receipt.unjudged }
    }
    default:
      return { ok: null, why: w.receipt.rankUnknown(String(r.ranked_by)) }
  }
}

/** Whether a miner's answer could have been given. */
const eligible = (r: Ranked, m: Miner) => !m.role && ((m.verdict === 'accepted' && (m.examined === true || !r.verified_only)) || (m.verdict === 'unchecked' && !r.verified_only))

function highest(r: Ranked, name: string, figure: (m: Miner) => number | undefined): Chosen {
  const of = (m: Miner) => figure(m) ?? -Infinity
  const given = r.miners.filter((m) => m.chosen)
  const bad = given.find((m) => !eligible(r, m))
  if (bad) return { ok: false, why: w.receipt.chosenUnfit(bad.uid, bad.verdict) }
  const rivals = r.miners.filter((m) => !m.chosen && eligible(r, m))
  const least = Math.min(...given.map(of))
  const other = Math.max(...rivals.map(of))
  return least < other ? { ok: false, why: w.receipt.notHighest(name, least, other) } : { ok: true, why: w.receipt.highest(name, rivals.length) }
}

const rounded = (x: number) => Math.round(x * 1e4) / 1e4

/** What is wrong with the votes, or with the answer that won; empty if nothing is. */
function count(r: Ranked): string {
  const votes = r.votes ?? []
  const seen = new Set<number>()
  if (!votes.length) return w.receipt.noVotes
  for (const v of votes) {
    if (!Array.isArray(v.miners) || !v.miners.length) return w.receipt.noVotes
    let sum = 0
    for (const place of v.miners) {
      const m = r.miners[place]
      if (!m || seen.has(place)) return w.receipt.voteTwice(place)
      seen.add(place)
      if (!eligible(r, m) || m.vote_weight !== rounded(Math.max(m.score ?? (m.standing ?? 0) / 2, 0.001))) return w.receipt.voteWeight(m.uid)
      sum = rounded(sum + m.vote_weight)
    }
    if (sum !== v.weight) return w.receipt.voteSum(v.weight, sum)
  }
  const heaviest = (v: Vote) => Math.max(...v.miners.map((place) => r.miners[place]!.vote_weight!))
  const before = (a: Vote, b: Vote) => b.weight - a.weight || b.miners.length - a.miners.length || heaviest(b) - heaviest(a)
  if (votes.some((v, i) => i > 0 && before(votes[i - 1]!, v) > 0)) return w.receipt.voteOrder
  const odd = r.miners.find((m, place) => m.chosen !== (place === votes[0]!.miners[0]) || (m.vote_weight !== undefined && !seen.has(place)))
  return odd ? w.receipt.voteLost(odd.uid) : ''
}
