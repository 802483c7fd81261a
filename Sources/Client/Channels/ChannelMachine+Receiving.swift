package import MartletPrimitives

extension ChannelMachine {
  // MARK: From the connection

  /// A text frame, or a binary one.
  package mutating func receive(_ bytes: RawSpan, binary: Bool, now: Instant) {
    guard phase == .open else { return }
    self.now = now
    var words: [ChannelWire.Word] = []
    do throws(ParseError) {
      if binary { words = [try ChannelWire.word(binary: bytes)] } else { words = try ChannelWire.words(text: bytes, limit: limits.frame) }
    } catch {
      actions.append(.disconnect)
      return disconnected(.closed(1002, "the server does not speak the protocol of /ws: \(error)"), now: now)
    }
    for word in words {
      switch word {
      case .message(let message): take(message, bytes: bytes.byteCount)
      case .presence(let channel, let joined, let member): take(.presence(joined: joined, member), on: channel, bytes: bytes.byteCount)
      case .answer(let id, let result): answer(id, result)
      }
    }
    pump()
  }

  private mutating func take(_ message: ChannelMessage, bytes: Int) {
    guard let id = channels[message.channel], let subscription = subscriptions[id], subscription.status == .active else { return }
    let position = ChannelPosition(message.cursor)
    switch subscription.position?.step(to: position) {
    case .seen: return
    // No server of ours leaves one out; whoever does must not go unnoticed.
    case .gap: actions.append(.deliver(subscription: id, .lost(cursor: message.cursor), bytes: 0))
    case .next, nil: break
    }
    subscriptions[id]?.position = position
    actions.append(.deliver(subscription: id, .message(message), bytes: bytes))
  }

  private mutating func take(_ event: ChannelEvent, on channel: String, bytes: Int) {
    guard let id = channels[channel], subscriptions[id]?.status == .active else { return }
    actions.append(.deliver(subscription: id, event, bytes: bytes))
  }

  private mutating func answer(_ id: Int64?, _ result: Result<JSON, ChannelWire.Refusal>) {
    // A new token that no longer allows a channel ends its subscription, whatever else the answer is.
    if case .failure(let refusal) = result, let channel = refusal.channel, let subscription = channels[channel],
      id.map({ inFlight[$0] }) != .subscribe(subscription)
    {
      end(subscription, .refused(code: refusal.code, refusal.message))
    }
    guard let id, let command = inFlight.removeValue(forKey: id) else { return }
    switch command {
    case .connect:
      greetingDeadline = nil
      backoff.reset()
    case .unsubscribe: break
    case .subscribe(let subscription): subscribed(subscription, result)
    case .request: answered(id, result)
    }
  }

  private mutating func subscribed(_ id: Int64, _ result: Result<JSON, ChannelWire.Refusal>) {
    guard let subscription = subscriptions[id], subscription.status == .asked else { return }
    switch result {
    case .success(let json):
      guard let cursor = json["cursor"]?.stringValue else { return refused(id, .init(code: 100, message: "an answer without cursor")) }
      subscriptions[id]?.status = .active
      subscriptions[id]?.position = ChannelPosition(cursor)
      if !subscription.isAnswered {
        subscriptions[id]?.isAnswered = true
        actions.append(.answer(request: id, .success(.cursor(cursor))))
        dropStaleTimeouts()
      } else if subscription.isInterrupted {
        subscriptions[id]?.isInterrupted = false
        actions.append(.deliver(subscription: id, .resumed, bytes: 0))
      }
      if json["lost"]?.boolValue == true { actions.append(.deliver(subscription: id, .lost(cursor: cursor), bytes: 0)) }
    case .failure(let refusal): refused(id, refusal)
    }
  }

  private static let busyPause = TimeSpan.milliseconds(200), failurePause = TimeSpan.seconds(1)

  /// A server that is busy is asked again, and by whoever was subscribed also one whose disk failed. Everybody else is told.
  private mutating func refused(_ id: Int64, _ refusal: ChannelWire.Refusal) {
    guard refusal.code == 200 || refusal.code > 200 && subscriptions[id]?.isAnswered == true else {
      return end(id, .refused(code: refusal.code, refusal.message))
    }
    subscriptions[id]?.status = .wanted
    askAgain(id, after: refusal.code == 200 ? Self.busyPause : Self.failurePause)
  }

  private mutating func askAgain(_ id: Int64, after pause: TimeSpan) {
    unsent.append(id)
    busyUntil = max(busyUntil ?? .zero, now + pause)
  }

  private mutating func answered(_ id: Int64, _ result: Result<JSON, ChannelWire.Refusal>) {
    // Busy means that nothing was done.
    if case .failure(let refusal) = result, refusal.code == 200, requests[id] != nil { return askAgain(id, after: Self.busyPause) }
    guard let request = drop(id) else { return }
    defer { dropStaleTimeouts() }
    switch result {
    case .failure(let refusal): actions.append(.answer(request: id, .failure(.refused(code: refusal.code, refusal.message))))
    case .success(let json):
      do throws(ParseError) {
        actions.append(.answer(request: id, .success(try Self.value(of: json, request.kind))))
      } catch { actions.append(.answer(request: id, .failure(.refused(code: 100, "an answer that is none: \(error)")))) }
    }
  }

  private static func value(of json: JSON, _ kind: RequestKind) throws(ParseError) -> Answer {
    switch kind {
    case .publish: .cursor(json["cursor"]?.stringValue ?? "")
    case .history: .history(try ChannelWire.history(json))
    case .presence: .members(try ChannelWire.members(json))
    case .refresh: .done
    }
  }

  @discardableResult internal mutating func drop(_ id: Int64) -> Request? {
    guard let request = requests.removeValue(forKey: id) else { return nil }
    requestBytes -= request.frame.count
    return request
  }

  internal mutating func end(_ id: Int64, _ error: ChannelError) {
    guard let subscription = subscriptions.removeValue(forKey: id) else { return }
    channels[subscription.wish.channel] = nil
    if !subscription.isAnswered { actions.append(.answer(request: id, .failure(error))) }
    actions.append(.end(subscription: id, error))
  }

  internal mutating func endAll(_ error: ChannelError) {
    for id in requests.keys.sorted() { actions.append(.answer(request: id, .failure(error))) }
    for id in subscriptions.keys.sorted() { end(id, error) }
    (requests, requestBytes, inFlight, greetingDeadline) = ([:], 0, [:], nil)
    (unsent, timeouts, busyUntil) = (Deque(), Deque(), nil)
  }

  // MARK: The end of a connection

  /// 4500 and above mean "do not come back", and so does an HTTP status that says that the request was wrong.
  private static func verdict(on loss: Loss) -> (final: ChannelError?, reason: String) {
    switch loss {
    case .closed(let code, let reason):
      let text = reason.isEmpty ? "closed with \(code)" : reason
      return (code >= 4500 ? .rejected(code: Int(code), text) : nil, text)
    case .refused(let status, let reason):
      let isFinal = (400..<500).contains(status) && ![408, 425, 429].contains(status)
      return (isFinal ? .rejected(code: status, reason) : nil, reason)
    case .unreachable(let reason): return (nil, reason)
    case .final(let error): return (error, "\(error)")
    }
  }

  /// The connection is gone, or none could be made.
  package mutating func disconnected(_ loss: Loss, now: Instant) {
    guard phase == .open || phase == .connecting else { return }
    self.now = now
    let (final, reason) = Self.verdict(on: loss)
    lastLoss = reason
    if let final {
      endAll(final)
      backoff.reset()
      return phase = .idle
    }
    // What was on its way when the server found fault with it would be at fault again.
    if case .closed(let code, _) = loss, [1002, 1003, 1007, 1008, 1009].contains(code) {
      for (id, command) in inFlight.sorted(by: { $0.key < $1.key }) where command == .request {
        if drop(id) != nil { actions.append(.answer(request: id, .failure(.rejected(code: Int(code), reason)))) }
      }
    }
    forgetConnection()
    guard !subscriptions.isEmpty || !requests.isEmpty else { return phase = .idle }
    phase = .waiting(until: now + backoff.next(using: &random))
  }

  private mutating func forgetConnection() {
    (inFlight, greetingDeadline, busyUntil) = ([:], nil, nil)
    for id in subscriptions.keys.sorted() {
      guard let subscription = subscriptions[id] else { continue }
      if subscription.status == .active, !subscription.isInterrupted {
        subscriptions[id]?.isInterrupted = true
        actions.append(.deliver(subscription: id, .interrupted, bytes: 0))
      }
      if subscription.status != .held { subscriptions[id]?.status = .wanted }
    }
    dropStaleTimeouts()
    // Subscriptions first: a message that is published next must not be missed.
    unsent = Deque()
    for id in subscriptions.keys.sorted() where subscriptions[id]?.status == .wanted { unsent.append(id) }
    for id in requests.keys.sorted() { unsent.append(id) }
  }

  // MARK: Time

  /// Does what is due.
  package mutating func timeout(now: Instant) {
    self.now = now
    while let first = timeouts.first, first.at <= now {
      timeouts.popFirst()
      expire(first.id)
    }
    dropStaleTimeouts()
    if let greetingDeadline, greetingDeadline <= now {
      actions.append(.disconnect)
      disconnected(.closed(1006, "the server did not greet"), now: now)
    }
    if case .waiting(let until) = phase, until <= now {
      if subscriptions.isEmpty, requests.isEmpty { phase = .idle } else { connect() }
    }
    if let until = busyUntil, until <= now {
      busyUntil = nil
      pump()
    }
  }

  private mutating func expire(_ id: Int64) {
    let error = ChannelError.timedOut(
      phase == .open
        ? "the server did not answer in \(limits.timeout.seconds) s" : "no connection for \(limits.timeout.seconds) s: \(lastLoss)")
    if drop(id) != nil {
      actions.append(.answer(request: id, .failure(error)))
    } else if let subscription = subscriptions[id], !subscription.isAnswered {
      let wasAsked = subscription.status == .asked
      end(id, error)
      if wasAsked, phase == .open {
        let command = nextID()
        inFlight[command] = .unsubscribe
        let bytes = ChannelWire.command("unsubscribe", command) { $0.member("channel", subscription.wish.channel) }
        actions.append(.send(bytes, binary: false))
      }
    }
  }

  /// Keeps the first one, which `deadline` looks at, one that matters.
  internal mutating func dropStaleTimeouts() {
    while let first = timeouts.first, requests[first.id] == nil, subscriptions[first.id]?.isAnswered != false { timeouts.popFirst() }
  }
}
