package import MartletPrimitives

/// A server's end of one Socket.IO session (protocol 5) over an Engine.IO session: namespaces, events, acknowledgements in both
/// directions. Messages in; messages, events and a deadline out.
///
/// The driver hands in what the engine's session received, takes `pollOutput` for the engine's session to send, and
/// `pollEvent` for the application. An error means that the connection is to be closed.
package struct SocketIOSession: ~Copyable {
  package enum Event: Equatable, Sendable {
    /// The client wants into a namespace: answer with `accept` or `refuse`, now or later.
    case connecting(namespace: String, auth: JSON, recovery: SocketIORecovery?)
    case event(namespace: String, SocketIOEvent)
    case acknowledged(UInt64, SocketIOAnswer)
    /// An acknowledgement will not come: its time is over, or the namespace was left.
    case unacknowledged(UInt64)
    /// The client left a namespace.
    case disconnected(namespace: String)
    /// No namespace was joined in time: close the connection.
    case expired
  }

  private enum Membership: Equatable { case asking, connected, left }
  private struct Waiting {
    var namespace: String
    var timer: SlabID
  }

  private let limits: SocketIOLimits
  private let connectTimeout: TimeSpan
  private var decoder: SocketIODecoder
  private var namespaces: [String: Membership] = [:]
  private var waiting: [UInt64: Waiting] = [:]
  private var timers = TimerTable<UInt64>()
  private var lastID: UInt64 = 0
  private var output = Deque<EngineMessage>()
  private var events = Deque<Event>()
  private var joinBy: Instant?

  /// - Parameter connectTimeout: how long a client may be in no namespace after the start.
  package init(limits: SocketIOLimits = SocketIOLimits(), connectTimeout: TimeSpan, now: Instant) {
    self.limits = limits
    self.connectTimeout = connectTimeout
    decoder = SocketIODecoder(limits: limits)
    joinBy = now + connectTimeout
  }

  package mutating func pollEvent() -> Event? { events.popFirst() }
  package mutating func pollOutput() -> EngineMessage? { output.popFirst() }

  package func isConnected(to namespace: String) -> Bool { namespaces[namespace] == .connected }

  // MARK: From the client

  package mutating func receive(_ message: Slice, isBinary: Bool) throws(ParseError) {
    guard let packet = try decoder.receive(message, isBinary: isBinary) else { return }
    if packet.kind == .connect { return try connect(packet) }
    switch namespaces[packet.namespace] {
    case .connected: try receive(packet)
    // Sent before the client knew that it was put out.
    case .left: return
    case .asking, nil: throw .invalid("a packet for the namespace \(packet.namespace.debugDescription), which was not joined", at: 0)
    }
  }

  private mutating func connect(_ packet: SocketIOPacket) throws(ParseError) {
    let namespace = packet.namespace
    guard namespaces[namespace] != .connected, namespaces[namespace] != .asking else {
      throw .invalid("a second connection to the namespace \(namespace.debugDescription)", at: 0)
    }
    guard namespaces[namespace] != nil || namespaces.count < limits.namespaces else {
      throw .limit("namespaces of a session", maximum: limits.namespaces)
    }
    namespaces[namespace] = .asking
    var recovery: SocketIORecovery?
    if let pid = packet.data?["pid"]?.stringValue, let offset = packet.data?["offset"]?.stringValue {
      recovery = SocketIORecovery(pid: pid, offset: offset)
    }
    events.append(.connecting(namespace: namespace, auth: packet.data ?? .object(JSON.Object()), recovery: recovery))
  }

  private mutating func receive(_ packet: SocketIOPacket) throws(ParseError) {
    switch packet.kind {
    case .event:
      guard case .array(var arguments) = packet.data, !arguments.isEmpty else { return }
      let name = arguments.removeFirst()
      let event = SocketIOEvent(name.stringValue ?? "\(name)", arguments, attachments: packet.attachments, id: packet.id)
      events.append(.event(namespace: packet.namespace, event))
    case .ack:
      // One that comes too late finds nothing.
      guard let id = packet.id, let entry = waiting[id], entry.namespace == packet.namespace else { return }
      waiting[id] = nil
      timers.cancel(entry.timer)
      events.append(.acknowledged(id, SocketIOAnswer(packet.data?.arrayValue ?? [], attachments: packet.attachments)))
    case .disconnect:
      leave(packet.namespace, .none)
      events.append(.disconnected(namespace: packet.namespace))
    case .connect, .connectError: throw .invalid("a packet that only servers send", at: 0)
    }
  }

  // MARK: To the client

  /// - Parameters:
  ///   - sid: the connection's public name.
  ///   - pid: its private name, which brings it back after a break; `nil` offers no recovery.
  package mutating func accept(_ namespace: String, sid: String, pid: String? = nil) {
    guard namespaces[namespace] == .asking else { return }
    namespaces[namespace] = .connected
    joinBy = nil
    var data = JSON.Object()
    data["sid"] = .string(sid)
    if let pid { data["pid"] = .string(pid) }
    send(SocketIOPacket(.connect, namespace: namespace, data: .object(data)))
  }

  package mutating func refuse(_ namespace: String, message: String, data: JSON? = nil) {
    guard namespaces[namespace] == .asking else { return }
    namespaces[namespace] = nil
    var object = JSON.Object()
    object["message"] = .string(message)
    object["data"] = data
    send(SocketIOPacket(.connectError, namespace: namespace, data: .object(object)))
  }

  package mutating func emit(_ event: SocketIOEvent, in namespace: String) {
    guard isConnected(to: namespace) else { return }
    var event = event
    event.id = nil
    send(event.packet(in: namespace))
  }

  /// Emits an event that the client is to acknowledge.
  /// - Returns: the number under which `acknowledged` or `unacknowledged` comes; `nil` when too many are waited for, or the
  ///   namespace is not joined.
  package mutating func emit(_ event: SocketIOEvent, in namespace: String, acknowledgeBy deadline: Instant) -> UInt64? {
    guard isConnected(to: namespace), waiting.count < limits.acknowledgements else { return nil }
    lastID += 1
    waiting[lastID] = Waiting(namespace: namespace, timer: timers.schedule(at: deadline, lastID))
    var event = event
    event.id = lastID
    send(event.packet(in: namespace))
    return lastID
  }

  /// Answers an event that asked for it.
  package mutating func acknowledge(_ id: UInt64, _ answer: SocketIOAnswer, in namespace: String) {
    guard isConnected(to: namespace) else { return }
    send(SocketIOPacket(.ack, namespace: namespace, id: id, data: .array(answer.arguments), attachments: answer.attachments))
  }

  /// A packet of the namespace that was encoded for many sessions.
  package mutating func send(_ messages: [EngineMessage], in namespace: String) {
    guard isConnected(to: namespace) else { return }
    for message in messages { output.append(message) }
  }

  /// Puts the client out of a namespace.
  package mutating func disconnect(_ namespace: String) {
    guard isConnected(to: namespace) else { return }
    send(SocketIOPacket(.disconnect, namespace: namespace))
    leave(namespace, .left)
  }

  private mutating func leave(_ namespace: String, _ membership: Membership?) {
    namespaces[namespace] = membership
    for (id, entry) in waiting where entry.namespace == namespace {
      waiting[id] = nil
      timers.cancel(entry.timer)
      events.append(.unacknowledged(id))
    }
  }

  private mutating func send(_ packet: SocketIOPacket) { for message in packet.encoded { output.append(message) } }

  // MARK: Time

  package var deadline: Instant? {
    guard let joinBy else { return timers.deadline }
    return timers.deadline.map { min($0, joinBy) } ?? joinBy
  }

  package mutating func timeout(now: Instant) {
    if let limit = joinBy, now >= limit {
      // Whoever waits for an answer of ours is not late.
      let isAsking = namespaces.values.contains(.asking)
      joinBy = isAsking ? now + connectTimeout : nil
      if !isAsking { events.append(.expired) }
    }
    while let id = timers.popDue(now: now) {
      if waiting.removeValue(forKey: id) != nil { events.append(.unacknowledged(id)) }
    }
  }
}
