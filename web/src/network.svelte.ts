// The network as it is now, asked for while somebody looks.

import { network, type Network, type Subnet } from './api'

class Live {
  now = $state<Network | undefined>()
  lost = $state(false) // the gateway does not answer

  subnet(model: string): Subnet | undefined {
    return this.now?.subnets.find((s) => s.model === model) ?? this.now?.subnets[0]
  }

  /** Watches until the returned function is called. */
  watch(): () => void {
    const control = new AbortController()
    let timer: ReturnType<typeof setTimeout> | undefined
    const look = async () => {
      clearTimeout(timer)
      if (document.visibilityState === 'visible') {
        try {
          this.now = await network(control.signal)
          this.lost = false
        } catch {
          if (control.signal.aborted) return
          this.lost = true
        }
      }
      timer = setTimeout(look, this.lost ? 4000 : 1500)
    }
    const seen = () => document.visibilityState === 'visible' && void look()
    document.addEventListener('visibilitychange', seen)
    void look()
    return () => {
      control.abort()
      clearTimeout(timer)
      document.removeEventListener('visibilitychange', seen)
    }
  }
}

export const live = new Live()
