internal import MartletPrimitives
internal import MartletWebRTC

/// The connection to the server that passes everybody's media on. This side makes every offer; docs/rooms.md says what is in one.
internal actor ServerLink {
  internal typealias Subscription = RoomMachine<MediaTransceiver>.Subscription

  internal enum Report: Sendable {
    case tracks([(Subscription, MediaTransceiver)])
    case state(PeerConnection.ConnectionState)
    case keyFrameRequested(MediaTransceiver)
    /// What the server had against an offer, where another attempt is made.
    case refused(Room.Failure)
    /// The server's name for the connection, once it has answered.
    case session(String)
  }

  private enum Input: Sendable {
    case publish([Room.Source: Room.Publication])
    case subscribe(Set<Subscription>)
    case negotiate
    case event(PeerConnection.Event, connection: Int)
    case recover(Int)
  }

  /// Until a silent path is looked for anew, and between attempts; after so many a new connection is made.
  private static let recovery: (first: Duration, again: Duration, attempts: Int) = (.seconds(1.5), .seconds(5), 3)
  private static let maximumInputs = 1024

  private let configuration: PeerConnection.Configuration
  private let codecs: RoomCodecs
  private let ask: @Sendable (JSON) async -> Result<JSON, Room.Failure>
  private let report: @Sendable (Report) async -> Void
  private nonisolated let inputs: AsyncStream<Input>.Continuation
  private var peer: PeerConnection
  /// Counts the connections, and the waits for a path.
  private var (connection, recovering) = (0, 0)
  private var session: String?
  private var publications: [Room.Source: Room.Publication] = [:]
  private var wanted: Set<Subscription> = []
  private var sending: [Room.Source: (publication: Room.Publication, transceiver: MediaTransceiver)] = [:]
  /// Sections by what is in them. Those that are free stay for the next.
  private var receiving: [(subscription: Subscription, transceiver: MediaTransceiver)] = []
  private var isChanged = false
  private var isOver = false
  private var isConnected = false
  private var restarts = false
  private var attempts = 0
  /// The server takes nothing of ours; what others publish is still wanted.
  private var isSilent = false

  internal init(
    _ configuration: PeerConnection.Configuration, _ codecs: RoomCodecs,
    ask: @escaping @Sendable (JSON) async -> Result<JSON, Room.Failure>, report: @escaping @Sendable (Report) async -> Void
  ) throws(PeerError) {
    (self.configuration, self.codecs, self.ask, self.report) = (configuration, codecs, ask, report)
    let first = try PeerConnection(configuration)
    peer = first
    let (stream, inputs) = AsyncStream.makeStream(of: Input.self, bufferingPolicy: .bufferingOldest(Self.maximumInputs))
    self.inputs = inputs
    Task { for await input in stream { await self.take(input) } }
    Self.follow(first, 0, inputs)
  }

  private static func follow(_ peer: PeerConnection, _ connection: Int, _ inputs: AsyncStream<Input>.Continuation) {
    Task { for await event in peer.events { inputs.yield(.event(event, connection: connection)) } }
  }

  internal nonisolated func publish(_ publications: [Room.Source: Room.Publication]) { inputs.yield(.publish(publications)) }
  internal nonisolated func subscribe(_ wanted: Set<Subscription>) { inputs.yield(.subscribe(wanted)) }

  internal func close() async {
    isOver = true
    inputs.finish()
    detach()
    await peer.close()
  }

  private func detach() { for (publication, _) in sending.values { publication.detach(Self.outlet) } }

  /// Names it among the outlets of publications.
  private static let outlet = ""

  // MARK: One after the other

  private func take(_ input: Input) async {
    guard !isOver else { return }
    switch input {
    case .publish(let publications):
      self.publications = publications
      change()
    case .subscribe(let wanted):
      self.wanted = wanted
      change()
    case .negotiate:
      isChanged = false
      do {
        try await assign()
        try await negotiate()
      } catch let failure as Room.Failure { await refused(failure) } catch {
        await refused(Room.Failure(.badCommand, "\(error)"))
      }
    case .event(let event, connection): await follow(event)
    case .recover(recovering): await recover()
    case .event, .recover: break
    }
  }

  /// What comes in one go is one change.
  private func change() {
    guard !isChanged else { return }
    isChanged = true
    inputs.yield(.negotiate)
  }

  // MARK: Negotiation

  private func assign() async throws {
    let published = isSilent ? [:] : publications
    for (source, (publication, transceiver)) in sending where published[source] != publication {
      publication.detach(Self.outlet)
      try await transceiver.setDirection(.inactive)
    }
    for (source, publication) in published where sending[source]?.publication != publication {
      let known = sending[source]?.transceiver
      let transceiver = if let known { known } else { try await peer.addTransceiver(source.kind, .sendonly) }
      sending[source] = (publication, transceiver)
      try await transceiver.setDirection(.sendonly)
      try await transceiver.setCodecPreferences([publication.codec])
    }
    for (subscription, transceiver) in receiving {
      try await transceiver.setDirection(wanted.contains(subscription) ? .recvonly : .inactive)
    }
    for subscription in wanted where !receiving.contains(where: { $0.subscription == subscription }) { try await receive(subscription) }
  }

  private func receive(_ subscription: Subscription) async throws {
    let kind = subscription.source.kind
    let free = receiving.firstIndex { !wanted.contains($0.subscription) && $0.transceiver.kind == kind }
    let known = free.map { receiving.remove(at: $0).transceiver }
    let transceiver = if let known { known } else { try await peer.addTransceiver(kind, .recvonly) }
    receiving.append((subscription, transceiver))
    try await transceiver.setDirection(.recvonly)
    let preferences = codecs.preferences(kind)
    if !preferences.isEmpty { try await transceiver.setCodecPreferences(preferences) }
  }

  private func negotiate() async throws {
    guard !sending.isEmpty || !receiving.isEmpty else { return }
    try await peer.setLocalDescription(restarts ? try await peer.createOffer(restartICE: true) : nil)
    restarts = false
    let answer = try await ask(offer()).get()
    guard !isOver else { return }
    session = answer["session"]?.stringValue
    if let session { await report(.session(session)) }
    try await peer.setRemoteDescription(.init(.answer, sdp: answer["sdp"]?.stringValue ?? ""))
    await show()
  }

  /// The description, and what is in which of its sections.
  private func offer() async -> JSON {
    let sections = await peer.sections
    func mid(_ transceiver: MediaTransceiver) -> JSON? {
      sections.first { $0.transceiver == transceiver && $0.direction != .inactive }?.mid.map { .string($0) }
    }
    let tracks = sending.compactMap { source, sent -> JSON? in
      mid(sent.transceiver).map { ["mid": $0, "source": .string(source.rawValue)] }
    }
    let subscribed = receiving.compactMap { received -> JSON? in
      let (id, source) = (received.subscription.participant, received.subscription.source.rawValue)
      return mid(received.transceiver).map { ["mid": $0, "participant": .string(id), "source": .string(source)] }
    }
    var offer = JSON.Object()
    offer["do"] = "offer"
    offer["sdp"] = .string(await peer.localDescription?.sdp ?? "")
    offer["session"] = session.map { .string($0) }
    offer["tracks"] = .array(tracks)
    offer["subscribe"] = .array(subscribed)
    return .object(offer)
  }

  /// What comes in now, and where ours goes out.
  private func show() async {
    let now = await peer.sections
    guard !isOver else { return }
    for (publication, transceiver) in sending.values {
      let isSent = now.contains { $0.transceiver == transceiver && $0.sends }
      if isSent { publication.attach(transceiver, of: Self.outlet) } else { publication.detach(Self.outlet) }
    }
    let tracks = receiving.filter { received in
      wanted.contains(received.subscription) && now.contains { $0.transceiver == received.transceiver && $0.receives }
    }
    await report(.tracks(tracks.map { ($0.subscription, $0.transceiver) }))
  }

  /// A connection that the server knows no more is made anew. Where it takes nothing of ours we go on with what others publish; anything
  /// else is tried again.
  private func refused(_ failure: Room.Failure) async {
    guard !isOver, failure.code != .closed else { return }
    if failure.code == .noMedia || failure.code == .gone, session != nil { return await connect() }
    await report(.refused(failure))
    try? await peer.setLocalDescription(.init(.rollback, sdp: ""))
    guard failure.code == .noMedia else { return wait(Self.recovery.again, .negotiate) }
    guard !isSilent, !sending.isEmpty else { return }
    isSilent = true
    await connect()
  }

  private func connect() async {
    guard let fresh = try? PeerConnection(configuration) else { return }
    let old = peer
    detach()
    (peer, session, isConnected) = (fresh, nil, false)
    (sending, receiving) = ([:], [])
    connection += 1
    Self.follow(fresh, connection, inputs)
    change()
    await old.close()
  }

  // MARK: The path

  private func follow(_ event: PeerConnection.Event) async {
    switch event {
    case .keyFrameRequested(let transceiver): await report(.keyFrameRequested(transceiver))
    case .connectionState(let state):
      isConnected = state == .connected
      if isConnected { attempts = 0 }
      recovering += 1
      // `closed`: the server has given it up.
      if [.failed, .disconnected, .closed].contains(state) { wait(Self.recovery.first, .recover(recovering)) }
      await report(.state(state))
    default: break
    }
  }

  private func wait(_ time: Duration, _ input: Input) {
    Task { [inputs] in
      try? await Task.sleep(for: time)
      inputs.yield(input)
    }
  }

  private func recover() async {
    guard !isConnected else { return }
    attempts += 1
    let isClosed = await peer.connectionState == .closed
    if isClosed || attempts > Self.recovery.attempts {
      attempts = 0
      await connect()
    } else {
      restarts = true
      change()
    }
    wait(Self.recovery.again, .recover(recovering))
  }
}
