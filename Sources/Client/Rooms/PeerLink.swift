internal import MartletPrimitives
internal import MartletWebRTC

/// The connection to one participant, with its data channel: descriptions and candidates, ours and theirs, one after the other.
/// `LinkNegotiation` decides who offers when.
internal actor PeerLink {
  internal enum Report: Sendable {
    case send(RoomSignal)
    /// What comes over it now, of whom (`nil`: the participant itself).
    case tracks([(SectionLabels.Content, MediaTransceiver)])
    case state(PeerConnection.ConnectionState)
    case data(JSON)
    case keyFrameRequested(MediaTransceiver)
    /// A new connection is needed; with the offer of the other side that is for it.
    case replace(RoomSignal?)
  }

  private enum Input: Sendable {
    case signal(RoomSignal)
    /// What is published; `nil` for data alone.
    case carry([Room.Source: Room.Publication]?)
    case begin
    case event(PeerConnection.Event)
    case channelOpened(DataChannel)
    case channelClosed(DataChannel)
    case askedInVain(Int)
    case recover(Int)
  }

  /// Until a silent path is looked for anew, by who came later and by the other, and between attempts; then a new connection is made.
  private static let recovery: (later: Duration, earlier: Duration, again: Duration, attempts: Int) = (
    .seconds(1.5), .seconds(5), .seconds(4), 3
  )
  /// That who came later has for the offer that it was asked for.
  private static let patience = Duration.seconds(3)
  /// Sections that are made for the other side, and inputs that wait; a peer that signals faster is not heard.
  private static let (maximumSections, maximumInputs) = (64, 1024)
  /// Bytes of a message over the data channel.
  private static let maximumMessage = 256 << 10

  private let peer: PeerConnection
  private let codecs: RoomCodecs
  private let report: @Sendable (Report) async -> Void
  /// Names it among the outlets of publications.
  private let name: String
  private nonisolated let inputs: AsyncStream<Input>.Continuation
  private var negotiation: LinkNegotiation
  private var publications: [Room.Source: Room.Publication]?
  private var sections: [Room.Source: (publication: Room.Publication, transceiver: MediaTransceiver)] = [:]
  private var labels = SectionLabels("")
  private var channels: [DataChannel] = []
  private var isBegun = false
  private var isOver = false
  private var isConnected = false
  /// The other side has ended the connection.
  private var isDead = false
  private var restarts = false
  private var attempts = 0
  /// Counts the waits, so that one that is over means nothing.
  private var (asking, recovering) = (0, 0)
  private var shown: [(SectionLabels.Content, MediaTransceiver)] = []

  internal init(
    _ name: String, isLater: Bool, _ configuration: PeerConnection.Configuration, _ codecs: RoomCodecs,
    report: @escaping @Sendable (Report) async -> Void
  ) throws(PeerError) {
    peer = try PeerConnection(configuration)
    (self.name, self.codecs, self.report) = (name, codecs, report)
    negotiation = LinkNegotiation(isLater: isLater)
    let (stream, inputs) = AsyncStream.makeStream(of: Input.self, bufferingPolicy: .bufferingOldest(Self.maximumInputs))
    self.inputs = inputs
    Task { for await input in stream { await self.take(input) } }
    Task { [peer] in for await event in peer.events { inputs.yield(.event(event)) } }
  }

  internal nonisolated func receive(_ signal: RoomSignal) { inputs.yield(.signal(signal)) }
  internal nonisolated func carry(_ publications: [Room.Source: Room.Publication]?) { inputs.yield(.carry(publications)) }
  internal nonisolated func begin() { inputs.yield(.begin) }

  internal func close() async {
    isOver = true
    inputs.finish()
    for (publication, _) in sections.values { publication.detach(name) }
    await peer.close()
  }

  /// - Returns: false when there is no open channel.
  internal func say(_ text: String) async -> Bool {
    guard let channel = channels.first else { return false }
    return (try? await channel.send(text)) != nil
  }

  // MARK: One after the other

  private func take(_ input: Input) async {
    guard !isOver else { return }
    do {
      switch input {
      case .signal(let signal): try await take(signal)
      case .carry(let publications):
        self.publications = publications
        try await assign()
      case .begin: try await start()
      case .event(let event): try await follow(event)
      case .channelOpened(let channel): channels.append(channel)
      case .channelClosed(let channel): channels.removeAll { $0 === channel }
      case .askedInVain(asking):
        try await act(on: negotiation.askedInVain())
        try await assign()
      case .recover(recovering): try await recover()
      case .askedInVain, .recover: break
      }
    } catch {
      // What this peer cannot take, or we of it, ends nothing: the next exchange may.
    }
  }

  private func start() async throws {
    guard !isBegun else { return }
    isBegun = true
    adopt(try await peer.createDataChannel("martlet"))
    try await assign()
  }

  private func follow(_ event: PeerConnection.Event) async throws {
    switch event {
    case .negotiationNeeded: if isBegun { try await act(on: negotiation.needed(isConnected: isConnected)) }
    case .candidate(let candidate?):
      await report(.send(.candidate(.init(text: candidate.candidate, mid: candidate.mid, line: candidate.lineIndex))))
    case .dataChannel(let channel):
      if channel.label == "martlet" { negotiation.knowsAsking() }
      adopt(channel)
    case .connectionState(let state): await follow(state)
    case .keyFrameRequested(let transceiver): await report(.keyFrameRequested(transceiver))
    default: break
    }
  }

  // MARK: Negotiation

  private func act(on step: LinkNegotiation.Step) async throws {
    switch step {
    case .nothing: break
    case .offer: try await offer()
    case .ask: await ask()
    }
  }

  private func offer() async throws {
    try await prefer()
    try await peer.setLocalDescription(restarts ? try await peer.createOffer(restartICE: true) : nil)
    restarts = false
    negotiation.didOffer()
    await tell { .offer($0) }
  }

  private func ask() async {
    let kinds = publications?.values.map(\.source.kind) ?? []
    await report(.send(.renegotiate(audio: kinds.count { $0 == .audio }, video: kinds.count { $0 == .video })))
    asking += 1
    wait(Self.patience, .askedInVain(asking))
  }

  private func wait(_ time: Duration, _ input: Input) {
    Task { [inputs] in
      try? await Task.sleep(for: time)
      inputs.yield(input)
    }
  }

  private func take(_ signal: RoomSignal) async throws {
    // Of who still has something to say, the one who came later begins anew; the other one waits for that.
    if isDead, negotiation.isLater { return await report(.replace(nil)) }
    switch signal {
    case .offer(let sdp): try await takeOffer(sdp)
    case .answer(let sdp):
      let (isTaken, next) = negotiation.receiveAnswer()
      guard isTaken else { return }
      try await peer.setRemoteDescription(.init(.answer, sdp: sdp))
      labels = SectionLabels(sdp)
      await show()
      try await act(on: next)
    case .candidate(let candidate):
      guard !negotiation.ignoresOffer else { return }
      try await peer.add(.init(candidate?.text ?? "", mid: candidate?.mid, lineIndex: candidate?.line))
    case .renegotiate(let audio, let video):
      guard negotiation.isLater else { return }
      try await addSections(.audio, audio)
      try await addSections(.video, video)
      try await act(on: negotiation.asked())
    }
  }

  private func takeOffer(_ sdp: String) async throws {
    let labels = SectionLabels(sdp)
    // One of another connection is for a new one, in place of this.
    if let known = self.labels.session, known != labels.session { return await report(.replace(.offer(sdp))) }
    guard case .take(let rollsBack) = negotiation.receiveOffer() else { return }
    if rollsBack { try await peer.setLocalDescription(.init(.rollback, sdp: "")) }
    try await peer.setRemoteDescription(.init(.offer, sdp: sdp))
    self.labels = labels
    (isBegun, asking) = (true, asking + 1)
    try await assign()
    try await prefer()
    try await peer.setLocalDescription()
    await tell { .answer($0) }
    await show()
  }

  private func addSections(_ kind: MediaTransceiver.Kind, _ count: Int) async throws {
    let known = await peer.sections.count { $0.transceiver.kind == kind }
    guard known < min(count, Self.maximumSections) else { return }
    for _ in known..<min(count, Self.maximumSections) { _ = try await peer.addTransceiver(kind, .recvonly) }
  }

  /// With the candidates of this machine, which are there at once.
  private func tell(_ signal: (String) -> RoomSignal) async {
    guard let description = await peer.localDescription else { return }
    var screens: Set<String> = []
    for section in await peer.sections {
      guard let mid = section.mid, let sent = sections.first(where: { $0.value.transceiver == section.transceiver }) else { continue }
      if sent.key == .screen || sent.key == .screenAudio { screens.insert(mid) }
    }
    await report(.send(signal(SectionLabels.marking(screens, in: description.sdp))))
  }

  // MARK: Sections

  /// Gives each publication a section and takes away those that ended. A section is used again, and in both directions; who came earlier
  /// waits for the first offer, so that there is only one.
  private func assign() async throws {
    guard isBegun else { return }
    let wanted = publications ?? [:]
    for (source, (publication, transceiver)) in sections where wanted[source] != publication {
      sections[source] = nil
      publication.detach(name)
      try await transceiver.setDirection(.recvonly)
    }
    var isShort = false
    for (source, publication) in wanted where sections[source] == nil {
      guard let transceiver = try await freeSection(source.kind) else {
        isShort = true
        continue
      }
      sections[source] = (publication, transceiver)
      try await transceiver.setDirection(.sendrecv)
    }
    if isShort { await ask() }
  }

  private func freeSection(_ kind: MediaTransceiver.Kind) async throws -> MediaTransceiver? {
    let taken = sections.values.map(\.transceiver)
    if let free = await peer.sections.first(where: { $0.transceiver.kind == kind && !taken.contains($0.transceiver) }) {
      return free.transceiver
    }
    return negotiation.isAskable ? nil : try await peer.addTransceiver(kind, .sendrecv)
  }

  private func prefer() async throws {
    for section in await peer.sections {
      let sent = sections.values.first { $0.transceiver == section.transceiver }
      let preferences = codecs.preferences(section.transceiver.kind, sending: sent?.publication.codec)
      if !preferences.isEmpty { try await section.transceiver.setCodecPreferences(preferences) }
    }
  }

  /// What comes in now, and where ours goes out.
  private func show() async {
    let now = await peer.sections
    let tracks = now.compactMap { section in
      section.receives ? section.mid.flatMap { labels.contents[$0] }.map { ($0, section.transceiver) } : nil
    }
    for (publication, transceiver) in sections.values {
      let isSent = now.contains { $0.transceiver == transceiver && $0.sends }
      let codec = await transceiver.codecs.first?.name
      if isOver { return }
      if isSent, codec == publication.codec { publication.attach(transceiver, of: name) } else { publication.detach(name) }
    }
    guard !tracks.elementsEqual(shown, by: ==) else { return }
    shown = tracks
    await report(.tracks(tracks))
  }

  // MARK: The path

  private func follow(_ state: PeerConnection.ConnectionState) async {
    isConnected = state == .connected
    recovering += 1
    if isConnected { attempts = 0 }
    if state == .failed || state == .disconnected {
      wait(negotiation.isLater ? Self.recovery.later : Self.recovery.earlier, .recover(recovering))
    }
    if state == .closed { isDead = true }
    await report(.state(state))
  }

  private func recover() async throws {
    attempts += 1
    if negotiation.isLater, attempts > Self.recovery.attempts { return await report(.replace(nil)) }
    restarts = true
    wait(Self.recovery.again, .recover(recovering))
    try await act(on: negotiation.needed(isConnected: false))
  }

  // MARK: The data channel

  private func adopt(_ channel: DataChannel) {
    Task { [inputs, report] in
      guard await channel.waitUntilOpen() else { return }
      inputs.yield(.channelOpened(channel))
      for await message in channel.messages {
        guard case .text(let text) = message, text.utf8.count <= Self.maximumMessage, let json = try? JSON(parsing: text) else { continue }
        await report(.data(json))
      }
      inputs.yield(.channelClosed(channel))
    }
  }
}
