// The network as it is now, asked for while somebody looks.

import { models, network } from './api'
import type { Model, Network, Subnet } from './wire'

class Live {
  now = $state<Network | undefined>()
  models = $state<Model[]>([])
  lost = $state(false) // the gateway does not answer
  offline = $state(!navigator.onLine)
  #again = () => {}

  subnet(model: string): Subnet | undefined {
    return this.now?.subnets.find((s) => s.model === model) ?? this.now?.subnets[0]
  }

  /** Looks at once. */
  look() {
    this.#again()
  }

  /** Watches until the returned function is called. */
  watch(): () => void {
    const control = new AbortController()
    let timer: ReturnType<typeof setTimeout> | undefined
    let modelsAt = -Infinity
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
        if (!this.lost && performance.now() - modelsAt > 10_000) {
          modelsAt = performance.now()
          this.models = await models(control.signal).catch(() => this.models)
        }
      }
      clearTimeout(timer)
      timer = setTimeout(look, this.lost ? 4000 : 1500)
    }
    this.#again = () => {
      modelsAt = -Infinity
      void look()
    }
    const seen = () => document.visibilityState === 'visible' && void look()
    const line = () => {
      this.offline = !navigator.onLine
      this.#again()
    }
    document.addEventListener('visibilitychange', seen)
    addEventListener('online', line)
    addEventListener('offline', line)
    void look()
    return () => {
      control.abort()
      clearTimeout(timer)
      document.removeEventListener('visibilitychange', seen)
      removeEventListener('online', line)
      removeEventListener('offline', line)
    }
  }
}

export const live = new Live()
