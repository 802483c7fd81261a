package import MartletIO
package import MartletPrimitives

/// The exchanges of one loop whose answer comes from elsewhere: another worker, or a thread that may block.
///
/// An exchange never leaves its loop; what travels is its ticket. A ticket whose client left, or whose time is over, finds
/// nothing and does nothing.
package final class HeldExchanges {
  private let context: LoopContext
  private var held = Slab<HTTPExchange>()
  private var timers: [SlabID: SlabID] = [:]

  package init(_ context: LoopContext) { self.context = context }

  package var count: Int { held.count }

  /// Keeps the exchange until its ticket is answered. Uses the exchange's `onClose` meanwhile.
  /// - Parameter late: answers when nobody else did within `limit`.
  package func hold(_ exchange: HTTPExchange, for limit: TimeSpan, late: @escaping (HTTPExchange) -> Void) -> HeldExchange {
    let ticket = HeldExchange(loop: context.loop, id: held.insert(exchange))
    timers[ticket.id] = context.schedule(after: limit) { [weak self] in
      if let exchange = self?.take(ticket) { late(exchange) }
    }
    exchange.onClose = { [weak self] in _ = self?.take(ticket) }
    return ticket
  }

  package func contains(_ ticket: HeldExchange) -> Bool { held[ticket.id] != nil }

  /// The exchange behind a ticket of this loop, which is used up; `nil` when it is gone.
  package func take(_ ticket: HeldExchange) -> HTTPExchange? {
    guard let exchange = held.remove(ticket.id) else { return nil }
    if let timer = timers.removeValue(forKey: ticket.id) { context.cancel(timer) }
    exchange.onClose = nil
    return exchange.isFinished ? nil : exchange
  }
}

/// Stands for an exchange wherever the exchange itself cannot go.
package struct HeldExchange: Hashable, Sendable {
  private let loop: EventLoop
  fileprivate let id: SlabID

  fileprivate init(loop: EventLoop, id: SlabID) {
    self.loop = loop
    self.id = id
  }

  /// Runs `body` with the exchange on its own loop, soon, unless its client left or it was answered already.
  package func answer(_ body: @escaping @Sendable (HTTPExchange) -> Void) {
    let ticket = self
    loop.post { context in
      if let exchange = context.service(HeldExchanges.self).take(ticket) { body(exchange) }
    }
  }

  /// The same, but at once where `context` is the exchange's own loop.
  package func answer(from context: LoopContext, _ body: @escaping @Sendable (HTTPExchange) -> Void) {
    guard loop === context.loop else { return answer(body) }
    if let exchange = context.service(HeldExchanges.self).take(self) { body(exchange) }
  }

  package static func == (a: HeldExchange, b: HeldExchange) -> Bool { a.loop === b.loop && a.id == b.id }

  package func hash(into hasher: inout Hasher) { hasher.combine(id) }
}
