package import MartletPrimitives

/// The client's half of the protocol of `/ws` (docs/channels.md), over as many connections as it takes: what goes to the server
/// and when to connect again comes out as actions; connections, frames and the time go in.
///
///     idle ──▶ connecting ── connected ──▶ open          idle: nothing to do
///      ▲            │                        │
///      └── waiting ◀┴──── disconnected ──────┘
///
/// Each subscription remembers the cursor of its last message and asks for what is behind it after each connection: that, and
/// the check of every message's offset, is why nothing is missed and nothing comes twice. A request that had no answer when its
/// connection was lost goes out again on the next; what it publishes has a key, by which the server knows it.
package struct ChannelMachine: ~Copyable {
  package struct Limits: Equatable, Sendable {
    /// Commands without an answer at any time; the server takes 256.
    package var inFlight = 64
    /// Requests that wait for an answer.
    package var requests = 4096
    /// And their bytes.
    package var requestBytes = 16 << 20
    package var subscriptions = 1024
    /// Bytes of one frame of the server.
    package var frame = 16 << 20
    /// From a request to its answer, reconnects included.
    package var timeout = TimeSpan.seconds(30)
    package init() {}
  }

  package struct Publication: Sendable {
    package var channel: String
    package var content: ChannelContent
    package var type: String
    package var event: String
    /// The server publishes one message for one key.
    package var key: String

    package init(channel: String, content: ChannelContent, type: String = "", event: String = "", key: String) {
      (self.channel, self.content, self.type, self.event, self.key) = (channel, content, type, event, key)
    }
  }

  package enum Start: Equatable, Sendable {
    case now
    case since(String)
    case last(Int)
  }

  package struct Wish: Sendable {
    package var channel: String
    package var start: Start
    package var presence: Bool
    /// JSON text; empty is none.
    package var info: [UInt8]

    package init(channel: String, start: Start = .now, presence: Bool = false, info: [UInt8] = []) {
      (self.channel, self.start, self.presence, self.info) = (channel, start, presence, info)
    }
  }

  package enum Answer: Equatable, Sendable {
    /// Of `subscribe` and `publish`.
    case cursor(String)
    case history(ChannelHistory)
    case members([ChannelMember])
    case done
  }

  package enum Action: Equatable, Sendable {
    /// Open a connection, and say `connected` or `disconnected`.
    case connect
    case send([UInt8], binary: Bool)
    /// Close the connection; no `disconnected` is expected.
    case disconnect
    case deliver(subscription: Int64, ChannelEvent, bytes: Int)
    /// The subscription is over; `nil` when it was left.
    case end(subscription: Int64, ChannelError)
    case answer(request: Int64, Result<Answer, ChannelError>)
  }

  /// Why there is no connection any more.
  package enum Loss: Equatable, Sendable {
    /// A close code (RFC 6455 §7.4), 1006 without one.
    case closed(UInt16, String)
    /// An HTTP status instead of a WebSocket.
    case refused(Int, String)
    /// No connection could be made.
    case unreachable(String)
    /// For good: the URL, or whoever makes tokens, says so.
    case final(ChannelError)
  }

  internal enum Phase: Equatable { case idle, connecting, open, waiting(until: Instant), closed }

  internal struct Subscription {
    enum Status: Equatable {
      /// To be asked for as soon as there is a connection.
      case wanted
      case asked
      case active
      /// Its reader does not keep up: the server was told to stop.
      case held
    }
    var wish: Wish
    var status = Status.wanted
    var position: ChannelPosition?
    /// Whoever subscribed has heard that it worked.
    var isAnswered = false
    var isInterrupted = false
  }

  internal enum RequestKind: Equatable { case publish, history, presence, refresh }
  internal struct Request {
    var kind: RequestKind
    var frame: ChannelWire.Frame
  }

  internal enum Command: Equatable {
    case connect
    case subscribe(Int64)
    case unsubscribe
    case request
  }

  internal let limits: Limits
  internal var phase = Phase.idle
  internal var backoff: Backoff
  internal var random: any RandomNumberGenerator & Sendable
  internal var now = Instant.zero
  internal var lastID: Int64 = 0
  internal var actions = Deque<Action>()

  internal var subscriptions: [Int64: Subscription] = [:]
  internal var channels: [String: Int64] = [:]
  internal var requests: [Int64: Request] = [:]
  internal var requestBytes = 0
  /// Requests and subscriptions that have not been sent on this connection, in the order in which they came.
  internal var unsent = Deque<Int64>()
  internal var inFlight: [Int64: Command] = [:]
  /// When requests time out, in their order.
  internal var timeouts = Deque<(id: Int64, at: Instant)>()
  internal var greetingDeadline: Instant?
  /// The server has too much to do: nothing is sent until then.
  internal var busyUntil: Instant?
  internal var lastLoss = "the server cannot be reached"

  package init(limits: Limits = Limits(), backoff: Backoff = Backoff(), random: any RandomNumberGenerator & Sendable) {
    (self.limits, self.backoff, self.random) = (limits, backoff, random)
  }

  /// What to do, in order, until `nil`. Ask after everything that goes in.
  package mutating func poll() -> Action? { actions.popFirst() }

  package var isOpen: Bool { phase == .open }
  /// `connect` was asked for, and neither `connected` nor `disconnected` has answered.
  package var wantsConnection: Bool { phase == .connecting }

  /// When `timeout` wants to be called.
  package var deadline: Instant? {
    var first: Instant? = if case .waiting(let until) = phase { until } else { nil }
    for candidate in [timeouts.first?.at, greetingDeadline, busyUntil] {
      guard let candidate else { continue }
      first = min(first ?? candidate, candidate)
    }
    return first
  }

  internal mutating func nextID() -> Int64 {
    lastID += 1
    return lastID
  }

  // MARK: What the application wants

  /// - Returns: the subscription's number, also of the answer that says that it worked.
  /// - Throws: `.refused` when the channel is subscribed to already, `.overloaded`, `.closed`.
  package mutating func subscribe(_ wish: Wish, now: Instant) throws(ChannelError) -> Int64 {
    guard phase != .closed else { throw .closed }
    guard channels[wish.channel] == nil else { throw .refused(code: 105, "this client is subscribed to \(wish.channel) already") }
    guard subscriptions.count < limits.subscriptions else { throw .overloaded }
    self.now = now
    let id = nextID()
    subscriptions[id] = Subscription(wish: wish)
    channels[wish.channel] = id
    enqueue(id)
    return id
  }

  package mutating func publish(_ publication: Publication, now: Instant) throws(ChannelError) -> Int64 {
    try request(.publish, now) { ChannelWire.publish($0, publication) }
  }

  package mutating func history(_ channel: String, _ start: Start, limit: Int, now: Instant) throws(ChannelError) -> Int64 {
    try request(.history, now) { id in
      .text(
        ChannelWire.command("history", id) { json in
          json.member("channel", channel)
          json.member("limit", max(0, limit))
          Self.write(start, to: &json)
        })
    }
  }

  package mutating func presence(_ channel: String, now: Instant) throws(ChannelError) -> Int64 {
    try request(.presence, now) { id in .text(ChannelWire.command("presence", id) { $0.member("channel", channel) }) }
  }

  /// Puts another token in place.
  package mutating func refresh(_ token: String, now: Instant) throws(ChannelError) -> Int64 {
    try request(.refresh, now) { id in .text(ChannelWire.command("refresh", id) { $0.member("token", token) }) }
  }

  private mutating func request(_ kind: RequestKind, _ now: Instant, _ frame: (Int64) -> ChannelWire.Frame) throws(ChannelError) -> Int64 {
    guard phase != .closed else { throw .closed }
    self.now = now
    let id = nextID()
    let frame = frame(id)
    guard requests.count < limits.requests, requests.isEmpty || requestBytes + frame.count <= limits.requestBytes else { throw .overloaded }
    requests[id] = Request(kind: kind, frame: frame)
    requestBytes += frame.count
    enqueue(id)
    return id
  }

  private mutating func enqueue(_ id: Int64) {
    unsent.append(id)
    timeouts.append((id, now + limits.timeout))
    if phase == .idle { connect() }
    pump()
  }

  /// Nobody waits for the answer any more; it may be done nevertheless.
  package mutating func abandon(_ request: Int64) {
    drop(request)
    dropStaleTimeouts()
  }

  /// Ends a subscription that nobody reads any more.
  package mutating func unsubscribe(_ id: Int64) {
    guard let subscription = subscriptions.removeValue(forKey: id) else { return }
    channels[subscription.wish.channel] = nil
    dropStaleTimeouts()
    if subscription.status == .active || subscription.status == .asked { leave(subscription.wish.channel) }
  }

  /// Its reader does not keep up: what comes until `release` is asked for again then.
  package mutating func hold(_ id: Int64) {
    guard let subscription = subscriptions[id], subscription.status == .active else { return }
    subscriptions[id]?.status = .held
    leave(subscription.wish.channel)
  }

  package mutating func release(_ id: Int64, now: Instant) {
    guard subscriptions[id]?.status == .held else { return }
    self.now = now
    subscriptions[id]?.status = .wanted
    unsent.append(id)
    if phase == .idle { connect() }
    pump()
  }

  private mutating func leave(_ channel: String) {
    guard phase == .open else { return }
    send("unsubscribe", .unsubscribe) { $0.member("channel", channel) }
  }

  /// Ends everything.
  package mutating func close() {
    guard phase != .closed else { return }
    let wasConnected = phase == .open || phase == .connecting
    endAll(.closed)
    phase = .closed
    if wasConnected { actions.append(.disconnect) }
  }

  // MARK: Sending

  internal mutating func connect() {
    phase = .connecting
    actions.append(.connect)
  }

  internal static func write(_ start: Start, to json: inout JSONWriter) {
    switch start {
    case .now: break
    case .since(let cursor): json.member("since", cursor)
    case .last(let count): json.member("last", max(0, count))
    }
  }

  private mutating func send(_ name: String, _ command: Command, id: Int64? = nil, _ body: (inout JSONWriter) -> Void) {
    let id = id ?? nextID()
    inFlight[id] = command
    actions.append(.send(ChannelWire.command(name, id, body), binary: false))
  }

  /// A connection is there. The token goes first; commands need not wait for the answer.
  package mutating func connected(token: String?, now: Instant) {
    guard phase == .connecting else { return }
    self.now = now
    phase = .open
    greetingDeadline = now + limits.timeout
    send("connect", .connect) { json in if let token { json.member("token", token) } }
    pump()
  }

  /// Sends what waits, as far as the server may be given it.
  internal mutating func pump() {
    while phase == .open, busyUntil == nil, inFlight.count < limits.inFlight, let id = unsent.popFirst() {
      if let request = requests[id], inFlight[id] == nil {
        inFlight[id] = .request
        switch request.frame {
        case .text(let bytes): actions.append(.send(bytes, binary: false))
        case .binary(let bytes): actions.append(.send(bytes, binary: true))
        }
      } else if let subscription = subscriptions[id], subscription.status == .wanted {
        ask(id, subscription)
      }
    }
  }

  private mutating func ask(_ id: Int64, _ subscription: Subscription) {
    subscriptions[id]?.status = .asked
    let wish = subscription.wish
    // Each attempt has a number of its own, so that a late answer is not taken for another's.
    send("subscribe", .subscribe(id)) { json in
      json.member("channel", wish.channel)
      Self.write(subscription.position.map { .since($0.text) } ?? wish.start, to: &json)
      if wish.presence { json.member("presence", true) }
      if !wish.info.isEmpty { json.member("info", verbatim: Slice(wish.info)) }
    }
  }
}
