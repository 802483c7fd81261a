package import MartletHTTP
package import MartletIO
internal import MartletPrimitives

/// What the WebSockets of one loop share: the list of them, the one timer that looks for quiet ones, compressors, and the
/// list that events are read into. A session has no timer and no buffer of its own.
package final class WebSocketLoop {
  internal let context: LoopContext
  package let pool = DeflatePool()
  private var sessions: [WebSocketSession] = []
  private var period = TimeSpan(nanoseconds: .max)
  private var timer: SlabID?
  private var events: [WebSocketMachine.Event] = []

  package init(in context: LoopContext) { self.context = context }

  package var count: Int { sessions.count }

  /// Closes all, as for a server that stops.
  package func closeAll(_ code: WebSocketCloseCode, reason: String) {
    for session in sessions { session.close(code, reason: reason) }
  }

  internal func add(_ session: WebSocketSession) {
    session.place = UInt32(truncatingIfNeeded: sessions.count)
    sessions.append(session)
    let wanted = session.options.configuration.period
    guard timer == nil || wanted < period else { return }
    period = timer == nil ? wanted : min(wanted, period)
    if let timer { context.cancel(timer) }
    arm()
  }

  internal func remove(_ session: WebSocketSession) {
    let place = Int(session.place)
    guard place < sessions.count, sessions[place] === session else { return }
    let last = sessions.removeLast()
    if last !== session {
      sessions[place] = last
      last.place = session.place
    }
  }

  private func arm() {
    timer = context.schedule(after: period) { [weak self] in self?.sweep() }
  }

  private func sweep() {
    timer = nil
    let now = context.now
    // From the end: one that closes has the last one put in its place.
    for index in sessions.indices.reversed() where index < sessions.count { sessions[index].check(now) }
    if !sessions.isEmpty { arm() }
  }

  /// A list to read events into, given back when they are handled.
  internal func takeEvents() -> [WebSocketMachine.Event] { exchange(&events, with: []) }

  internal func giveBack(_ list: inout [WebSocketMachine.Event]) {
    guard list.capacity <= 1024 else { return list = [] }
    list.removeAll(keepingCapacity: true)
    events = exchange(&list, with: [])
  }
}
