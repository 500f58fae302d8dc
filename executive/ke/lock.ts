/** A lock for asynchronous sections: many shared holders or one exclusive, in order of arrival. */
export class SharedLock {
  private holders = 0
  private exclusiveHeld = false
  private readonly queue: { exclusive: boolean; enter: () => void }[] = []

  async shared<T>(section: () => Promise<T>): Promise<T> {
    await this.acquire(false)
    try {
      return await section()
    } finally {
      this.holders--
      this.admit()
    }
  }
  async exclusive<T>(section: () => Promise<T>): Promise<T> {
    await this.acquire(true)
    try {
      return await section()
    } finally {
      this.exclusiveHeld = false
      this.admit()
    }
  }
  private acquire(exclusive: boolean): Promise<void> {
    return new Promise((enter) => {
      this.queue.push({ exclusive, enter })
      this.admit()
    })
  }
  private admit(): void {
    while (this.queue.length > 0 && !this.exclusiveHeld) {
      const { exclusive, enter } = this.queue[0]
      if (exclusive && this.holders > 0) return
      this.queue.shift()
      if (exclusive) this.exclusiveHeld = true
      else this.holders++
      enter()
    }
  }
}
