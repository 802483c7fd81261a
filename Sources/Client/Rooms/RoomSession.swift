internal import Glibc
internal import MartletPrimitives
internal import MartletWebRTC

/// A room where it lives: takes what the server and the connections say to the machine, and does what that decides.
internal actor RoomSession {
  internal private(set) var state = Room.State.connected
  let events: PeerSequence<Room.Event>
  let signaling: RoomSignaling
  private let options: Room.Options
  var machine = RoomMachine<MediaTransceiver>()
  var links: [String: PeerLink] = [:]
  /// Counts the connections, so that what one says that is gone means nothing.
  private var lastLink = 0
  private var numbers: [String: Int] = [:]
  var server: ServerLink?
  var serverSession: String?
  var views: [Room.View] = []
  var publications: [Room.Source: Room.Publication] = [:]
  private var servers: [PeerConnection.Configuration.ICEServer] = []
  private var timer: Task<Void, Never>?
  private var renewal: Task<Void, Never>?
  /// What goes to the server without anybody waiting for the answer, in order.
  let commands: AsyncStream<JSON>.Continuation
  private let start = ContinuousClock.now
  private var ending: Room.Failure?
  var isOver = false

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
      takeServers(answer)
      guard let greeting = RoomGreeting(answer) else { return }
      machine.enter(greeting, now: now)
      if !machine.me.muted.isEmpty { tellMuted() }
      become(.connected)
    case .resumed(let answer):
      takeServers(answer)
      guard let greeting = RoomGreeting(answer) else { return }
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

  private func takeServers(_ answer: JSON) {
    servers = (answer["iceServers"]?.arrayValue ?? []).map { PeerConnection.Configuration.ICEServer($0) }
    // A server's mistake is not to cost us the participants.
    if (try? configuration.check()) == nil { servers = [] }
    renewServers()
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
      await self?.takeServers(answer)
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
    case .moved(let room): events.put(.moved(to: room))
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
