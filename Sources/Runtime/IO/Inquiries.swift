/// Questions from one loop to others whose answers come back to it: what asks stays where it is, so it need not be Sendable.
internal struct Inquiries {
  private var pending: [UInt64: (any Sendable) -> Void] = [:]
  private var count: UInt64 = 0

  mutating func add(_ then: @escaping (any Sendable) -> Void) -> UInt64 {
    count += 1
    pending[count] = then
    return count
  }

  mutating func take(_ id: UInt64) -> ((any Sendable) -> Void)? { pending.removeValue(forKey: id) }
}

extension LoopContext {
  /// Asks another loop something that it answers once, at once or later; `then` hears it here, soon. Nobody answers for a loop that
  /// stops.
  ///
  /// For control messages: a loop's mailbox is not bounded, so who may cause a question must be.
  package func ask<Answer: Sendable>(
    _ other: EventLoop, _ question: @escaping @Sendable (LoopContext, @escaping @Sendable (Answer) -> Void) -> Void,
    then: @escaping (Answer) -> Void
  ) {
    let asker = loop
    let id = inquiries.add { answer in if let answer = answer as? Answer { then(answer) } }
    other.post { context in
      question(context) { answer in asker.post { $0.inquiries.take(id)?(answer) } }
    }
  }
}
