internal import Glibc
internal import MartletPrimitives
internal import MartletWebRTC

/// A room where it lives: takes what the server and the connections say to the machine, and does what that decides.
internal actor RoomSession {
  internal private(set) var state = Room.State.connected
  private let events: PeerSequence<Room.Event>
  private let signaling: RoomSignaling
  private let options: Room.Options
  private var machine = RoomMachine<MediaTransceiver>()
  private var links: [String: PeerLink] = [:]
  /// Counts the connections, so that what one says that is gone means nothing.
  private var lastLink = 0
  private var numbers: [String: Int] = [:]
  private var server: ServerLink?
  private var serverSession: String?
  private var views: [Room.View] = []
  private var publications: [Room.Source: Room.Publication] = [:]
  private var servers: [PeerConnection.Configuration.ICEServer] = []
  private var timer: Task<Void, Never>?
  private var renewal: Task<Void, Never>?
  /// What goes to the server without anybody waiting for the answer, in order.
  private let commands: AsyncStream<JSON>.Continuation
  private let start = ContinuousClock.now
  private var ending: Room.Failure?
  private var isOver = false

  internal init(_ signaling: RoomSignaling, _ options: Room.Options, _ events: PeerSequence<Room.Event>) {
    (self.signaling, self.options, self.events) = (signaling, options, events)
    let (stream, commands) = AsyncStream.makeStream(of: JSON.self, bufferingPolicy: .bufferingOldest(4096))
    self.commands = commands
    machine.me.name = options.name
    machine.me.info = options.info.flatMap { try? JSON(parsing: $0) }
    // Each waits for nothing but its turn: the signaling keeps the order.
    Task { for await command in stream { await signaling.post(command) } }
  }

  internal func enter() async throws(Room.Failure) {
    do throws(Room.Failure) { try await signaling.join { [weak self] in await self?.take($0) } } catch {
      end(error)
      throw error
    }
  }

  private var now: Instant {
    let (seconds, attoseconds) = (ContinuousClock.now - start).components
    return Instant(nanoseconds: seconds * 1_000_000_000 + attoseconds / 1_000_000_000)
  }

  // MARK: Who is here

  internal var me: Room.Participant {
    Room.Participant(id: machine.me.id, name: machine.me.name, info: machine.me.info.map { "\($0)" }, muted: machine.me.muted, tracks: [:])
  }

  internal var participants: [Room.Participant] { machine.order.compactMap(participant) }
  internal var topology: Room.Topology { machine.arrangement.topology }

  private func participant(_ id: String) -> Room.Participant? {
    if id == machine.me.id { return me }
    return machine.members[id].map { Self.participant($0.description, $0.tracks) }
  }

  private static func participant(_ member: RoomMember, _ tracks: [Room.Source: MediaTransceiver]) -> Room.Participant {
    Room.Participant(id: member.id, name: member.name, info: member.info.map { "\($0)" }, muted: member.muted, tracks: tracks)
  }

  // MARK: From the server

  private func take(_ arrival: RoomSignaling.Arrival) {
    guard !isOver else { return }
    switch arrival {
    case .entered(let answer):
      guard let greeting = takeServers(answer) else { return }
      machine.enter(greeting, now: now)
      if !machine.me.muted.isEmpty { tellMuted() }
      become(.connected)
    case .resumed(let answer):
      guard let greeting = takeServers(answer) else { return }
      machine.catchUp(greeting, now: now)
      become(.connected)
    case .event(let json): if let notice = RoomNotice(json) { machine.receive(notice, now: now) }
    case .interrupted: become(.reconnecting)
    case .ended(let failure): end(failure)
    }
    settle()
  }

  private func become(_ next: Room.State) {
    guard state != next, state != .closed else { return }
    state = next
    events.put(.connection(next))
  }

  private func takeServers(_ answer: JSON) -> RoomGreeting? {
    servers = (answer["iceServers"]?.arrayValue ?? []).map { server in
      PeerConnection.Configuration.ICEServer(
        urls: (server["urls"]?.arrayValue ?? []).compactMap(\.stringValue), username: server["username"]?.stringValue ?? "",
        credential: server["credential"]?.stringValue ?? "")
    }
    renewServers()
    return RoomGreeting(answer)
  }

  /// Before its credentials end, whose names begin with the second in which they do.
  private func renewServers() {
    renewal?.cancel()
    let ends = servers.compactMap { Int64($0.username.prefix { $0 != ":" }) }
    guard let end = ends.min() else { return }
    renewal = Task { [weak self, signaling] in
      let present = Int64(time(nil))
      try? await Task.sleep(for: .seconds(max(60, min(end - present - 60, 1 << 24))))
      guard !Task.isCancelled, let answer = try? await signaling.ask(["do": "ice"]) else { return }
      _ = await self?.takeServers(answer)
    }
  }

  // MARK: What the machine decides

  private func settle() {
    while let output = machine.pollOutput() { act(on: output) }
    timer?.cancel()
    timer = machine.deadline.flatMap { deadline in
      deadline == .distantFuture ? nil : Task { [weak self, now] in
        try? await Task.sleep(for: .nanoseconds(max(0, (deadline - now).nanoseconds)))
        if !Task.isCancelled { await self?.wake() }
      }
    }
    if let ending { end(ending) }
  }

  private func wake() {
    machine.timeout(now: now)
    settle()
  }

  private func act(on output: RoomMachine<MediaTransceiver>.Output) {
    switch output {
    case .open(let id, let isLater): open(id, isLater: isLater)
    case .carry(let id, let hasMedia): links[id]?.carry(hasMedia ? publications : nil)
    case .begin(let id): links[id]?.begin()
    case .close(let id): closeLink(id)
    case .signal(let signal, let id): links[id]?.receive(signal)
    case .openServer: openServer()
    case .closeServer: closeServer()
    case .subscribe(let wanted): server?.subscribe(wanted)
    case .watch(let track): watch(track)
    case .tell(let id, let json): commands.yield(["do": "signal", "to": .string(id), "data": json])
    case .report(let unreachable): commands.yield(["do": "report", "unreachable": .array(unreachable.map { .string($0) })])
    case .mute(let sources): mute(sources)
    case .check: Task { await signaling.check() }
    case .ended(let failure): ending = failure
    default: tell(output)
    }
  }

  private func tell(_ output: RoomMachine<MediaTransceiver>.Output) {
    switch output {
    case .joined(let id): if let participant = participant(id) { events.put(.joined(participant)) }
    case .left(let member, let reason): events.put(.left(Self.participant(member.description, [:]), reason: reason))
    case .changed(let id): if let participant = participant(id) { events.put(.changed(participant)) }
    case .track(let id, let source, let track): if let participant = participant(id) { events.put(.track(participant, source, track)) }
    case .trackEnded(let id, let source): if let participant = participant(id) { events.put(.trackEnded(participant, source)) }
    case .data(let id, let json): if let participant = participant(id) { events.put(.data(Room.Content(json), from: participant)) }
    case .topology(let topology): events.put(.topology(topology))
    case .speaking(let ids): events.put(.speaking(ids))
    case .message(let message): events.put(.message(message))
    case .waiting(let member): events.put(.waiting(Self.participant(member, [:])))
    case .locked(let isLocked): events.put(.locked(isLocked))
    default: break
    }
  }

  private func watch(_ track: MediaTransceiver) {
    Task { [weak self] in if await track.waitUntilFlowing() { await self?.didFlow(track) } }
  }

  private func didFlow(_ track: MediaTransceiver) {
    machine.didFlow(track)
    settle()
  }

  // MARK: Connections to participants

  private var configuration: PeerConnection.Configuration {
    var configuration = options.media
    configuration.iceServers += servers
    return configuration
  }

  private var codecs: RoomCodecs { RoomCodecs(audio: options.audioCodecs, video: options.videoCodecs) }

  private func open(_ id: String, isLater: Bool) {
    lastLink += 1
    let number = lastLink
    links[id] = try? PeerLink("\(number)", isLater: isLater, configuration, codecs) { [weak self] report in
      await self?.take(report, from: id, number)
    }
    numbers[id] = number
  }

  private func closeLink(_ id: String) {
    numbers[id] = nil
    if let link = links.removeValue(forKey: id) { Task { await link.close() } }
  }

  private func take(_ report: PeerLink.Report, from id: String, _ number: Int) {
    guard numbers[id] == number, !isOver else { return }
    switch report {
    case .send(let signal): commands.yield(signal.command(to: id))
    case .tracks(let tracks): machine.link(id, carries: Self.byParticipant(tracks.map { ($0.participant ?? id, $0.source, $1) }))
    case .state(let state): if let state = RoomMachine<MediaTransceiver>.LinkState(state) { machine.link(id, became: state, now: now) }
    case .data(let json):
      switch RoomNotice(json, saidBy: id) {
      case .said(let json, _): machine.hear(json, from: id, now: now)
      case let notice: machine.receive(notice, now: now)
      }
    case .keyFrameRequested(let transceiver): askForKeyFrame(transceiver)
    case .replace(let offer): replace(id, with: offer)
    }
    settle()
  }

  private static func byParticipant(
    _ tracks: [(id: String, source: Room.Source, track: MediaTransceiver)]
  ) -> [String: [Room.Source: MediaTransceiver]] {
    tracks.reduce(into: [:]) { all, each in all[each.id, default: [:]][each.source] = each.track }
  }

  /// Who came later begins anew; the other one with the offer that is of another connection.
  private func replace(_ id: String, with offer: RoomSignal?) {
    machine.reopen(id)
    settle()
    if let offer { links[id]?.receive(offer) } else { links[id]?.begin() }
  }

  private func askForKeyFrame(_ transceiver: MediaTransceiver) {
    if let publication = publications.values.first(where: { $0.sends(on: transceiver) }) { events.put(.keyFrameRequested(publication.source)) }
  }

  // MARK: The connection to the server

  private func openServer() {
    server = try? ServerLink(
      configuration, codecs,
      ask: { [signaling] command in
        do throws(Room.Failure) { return .success(try await signaling.ask(command)) } catch { return .failure(error) }
      },
      report: { [weak self] report in await self?.take(report) })
    server?.publish(publications)
  }

  private func closeServer() {
    if let server { Task { await server.close() } }
    (server, serverSession) = (nil, nil)
  }

  private func take(_ report: ServerLink.Report) {
    guard !isOver, server != nil else { return }
    switch report {
    case .tracks(let tracks): machine.server(carries: Self.byParticipant(tracks.map { ($0.participant, $0.source, $1) }))
    case .state(let state): if let state = RoomMachine<MediaTransceiver>.LinkState(state) { machine.server(became: state) }
    case .keyFrameRequested(let transceiver): askForKeyFrame(transceiver)
    case .session(let session):
      serverSession = session
      tellViews()
    case .refused(let failure): events.put(.mediaRefused(failure))
    }
    settle()
  }

  private func tellViews() {
    guard let serverSession, !views.isEmpty else { return }
    commands.yield(["do": "view", "session": .string(serverSession), "tracks": .array(views.map(\.json))])
  }

  internal func setViews(_ views: [Room.View]) {
    self.views = views
    tellViews()
  }

  // MARK: What the application does

  internal func ask(_ command: JSON) async throws(Room.Failure) -> JSON { try await signaling.ask(command) }

  internal func send(_ json: JSON, to id: String) async throws(Room.Failure) {
    if let link = links[id], await link.say("\(json)") { return }
    _ = try await signaling.ask(["do": "signal", "to": .string(id), "data": json])
  }

  internal func set(name: String?, info: JSON?) async throws(Room.Failure) {
    var command: JSON.Object = JSON.Object()
    command["do"] = "set"
    command["name"] = name.map { .string($0) }
    command["info"] = info
    _ = try await signaling.ask(.object(command))
    await signaling.describe(name: name, info: info)
  }

  internal func refreshToken() async throws(Room.Failure) {
    let token = try await signaling.token()
    _ = try await signaling.ask(["do": "refresh", "token": .string(token)])
  }

  internal func publish(_ source: Room.Source, codec: String) throws(Room.Failure) -> Room.Publication {
    guard publications[source] == nil else { throw Room.Failure(.badCommand, "\(source.rawValue) is published already") }
    guard !isOver else { throw Room.Failure(.closed, "the room is closed") }
    let publication = Room.Publication(source, codec: codec, isMuted: machine.me.muted.contains(source))
    publications[source] = publication
    carry()
    return publication
  }

  internal func unpublish(_ publication: Room.Publication) {
    guard publications[publication.source] == publication else { return }
    publications[publication.source] = nil
    carry()
  }

  private func carry() {
    for (id, link) in links where machine.carriesMedia(id) { link.carry(publications) }
    server?.publish(publications)
  }

  internal func setMuted(_ source: Room.Source, _ isMuted: Bool) async throws(Room.Failure) {
    publications[source]?.mute(isMuted)
    let changes = isMuted ? machine.me.muted.insert(source).inserted : machine.me.muted.remove(source) != nil
    guard changes else { return }
    events.put(.changed(me))
    _ = try await signaling.ask(["do": "set", "muted": mutedNames])
  }

  private var mutedNames: JSON { .array(machine.me.muted.map { .string($0.rawValue) }) }
  private func tellMuted() { commands.yield(["do": "set", "muted": mutedNames]) }

  /// A moderator asks for it.
  private func mute(_ sources: Set<Room.Source>) {
    machine.me.muted.formUnion(sources)
    for source in sources { publications[source]?.mute(true) }
    tellMuted()
    events.put(.mute(sources))
  }

  // MARK: The end

  internal func leave() async {
    guard !isOver else { return }
    end(nil)
    await signaling.leave()
  }

  private func end(_ failure: Room.Failure?) {
    guard !isOver else { return }
    (isOver, state) = (true, .closed)
    for task in [timer, renewal] { task?.cancel() }
    commands.finish()
    for id in Array(links.keys) { closeLink(id) }
    closeServer()
    if failure != nil { Task { [signaling] in await signaling.close() } }
    events.put(.connection(.closed))
    events.put(.closed(failure))
    events.finish()
  }
}

extension RoomMachine.LinkState {
  /// `nil` for one that says nothing about the path.
  fileprivate init?(_ state: PeerConnection.ConnectionState) {
    switch state {
    case .new: return nil
    case .connecting: self = .connecting
    case .connected: self = .connected
    case .disconnected, .failed, .closed: self = .lost
    }
  }
}

extension RoomSignal {
  fileprivate func command(to id: String) -> JSON {
    switch self {
    case .offer(let sdp): ["do": "offer", "to": .string(id), "sdp": .string(sdp)]
    case .answer(let sdp): ["do": "answer", "to": .string(id), "sdp": .string(sdp)]
    case .candidate(let candidate): ["do": "candidate", "to": .string(id), "candidate": candidate?.json ?? .null]
    case .renegotiate(let audio, let video):
      [
        "do": "signal", "to": .string(id),
        "data": ["renegotiate": ["audio": .int(Int64(audio)), "video": .int(Int64(video))]],
      ]
    }
  }
}

extension RoomSignal.PeerCandidate {
  fileprivate var json: JSON {
    ["candidate": .string(text), "sdpMid": mid.map { .string($0) } ?? .null, "sdpMLineIndex": line.map { .int(Int64($0)) } ?? .null]
  }
}

extension Room.View {
  fileprivate var json: JSON {
    var object = JSON.Object()
    (object["participant"], object["source"]) = (.string(participant), .string(source.rawValue))
    object["width"] = width.map { .int(Int64($0)) }
    object["height"] = height.map { .int(Int64($0)) }
    if isPaused { object["paused"] = true }
    return .object(object)
  }
}
