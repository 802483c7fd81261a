internal import MartletPrimitives

/// A room as a participant knows it: who is here, what comes of whom by which way, and which ways are needed. Sans-I/O: what the server
/// and the connections say goes in, then `pollOutput` is drained.
///
/// What comes of a participant is kept by way: over the connection to it, over that to a supernode, over that to the server. Where the
/// room changes from one to the next both are there until what flows through the old one flows through the new one.
internal struct RoomMachine<Track: Hashable & Sendable> {
  internal typealias ID = String
  internal typealias Tracks = [Room.Source: Track]

  internal enum Way: Hashable, Sendable {
    case link(ID)
    case server
  }

  internal enum LinkState: Sendable { case connecting, connected, lost }

  internal enum Output {
    /// Makes ready for a connection to a participant. Who came later is the impolite one.
    case open(ID, isLater: Bool)
    /// Whether it carries what is published, or data alone.
    case carry(ID, Bool)
    /// Makes the first offer.
    case begin(ID)
    case close(ID)
    case signal(RoomSignal, ID)
    case openServer
    case closeServer
    /// Everything that is wanted of the server.
    case subscribe(Set<Subscription>)
    /// Says when something arrives on it: `didFlow`.
    case watch(Track)
    /// By the server: what goes over a connection that ends now may not arrive.
    case tell(ID, JSON)
    case report(unreachable: [ID])
    case mute(Set<Room.Source>)
    /// Asks whether we are still who we were.
    case check
    case joined(ID)
    case left(Member, reason: String)
    case changed(ID)
    case track(ID, Room.Source, Track)
    case trackEnded(ID, Room.Source)
    case data(ID, JSON)
    case topology(Room.Topology)
    case speaking([ID])
    case message(Room.Message)
    case waiting(RoomMember)
    case moved(String)
    case locked(Bool)
    case ended(Room.Failure)
  }

  internal struct Subscription: Hashable, Sendable {
    let participant: ID
    let source: Room.Source
  }

  internal struct Member {
    internal var description: RoomMember
    /// It was here when we came.
    var isEarlier: Bool
    /// What comes of it, by way.
    var incoming: [Way: Tracks] = [:]
    /// What is shown of it.
    internal var tracks: Tracks = [:]
  }

  struct Link {
    var state = LinkState.connecting
    /// Since when it has no path.
    var lost: Instant?
    /// What comes over it, of whom.
    var tracks: [ID: Tracks] = [:]
  }

  internal var me = RoomMember(id: "")
  internal var members: [ID: Member] = [:]
  /// The ids of `members`, in the order in which they came.
  internal var order: [ID] = []
  internal var arrangement = RoomArrangement(.mesh, generation: 0)
  internal var isLocked = false
  var links: [ID: Link] = [:]
  /// `nil` while there is no connection to the server's media.
  var server: LinkState?
  var flowing: Set<Track> = []
  var handover = RoomHandover()
  private var reported: [ID] = []
  /// Events of participants that are not known yet: the inbox and what all hear have no common order.
  private var early: [(from: ID, notice: RoomNotice)] = []
  /// Of our own part in the room, of which the inbox may still say more.
  private var closing: (deadline: Instant, reason: String)?
  private var outputs = Deque<Output>()

  private static var maximumEarly: Int { 256 }
  /// Without a path, until the server is told, for its choice of the topology.
  private static var unreachable: TimeSpan { .seconds(10) }

  internal init() {}

  internal mutating func pollOutput() -> Output? { outputs.popFirst() }
  mutating func raise(_ output: Output) { outputs.append(output) }

  internal var deadline: Instant? {
    ([handover.deadline, closing?.deadline] + links.values.map { $0.lost.map { $0 + Self.unreachable } }).compactMap(\.self).min()
  }

  internal mutating func timeout(now: Instant) {
    if let closing, closing.deadline <= now {
      raise(.ended(Room.Failure(.closed, "our part in the room was ended (\(closing.reason))")))
      self.closing = nil
    }
    handover.timeout(now: now)
    if handover.isLate { lookAtAll() }
    report(now: now)
  }

  // MARK: The server

  /// Its answer to a join, the first or another one, as which we are somebody else to participants who are the same to us.
  internal mutating func enter(_ greeting: RoomGreeting, now: Instant) {
    let ids = Set(greeting.members.map(\.id))
    for id in order { if ids.contains(id) { disconnect(id) } else { remove(id, "left") } }
    if server != nil { closeServer() }
    handover.stop()
    me.id = greeting.participant
    (arrangement, isLocked, reported) = (greeting.arrangement, greeting.isLocked, [])
    for member in greeting.members { add(member, isEarlier: true, now: now) }
    if arrangement.topology == .sfu { openServer() }
  }

  /// The same participant, after a time in which events may have been lost.
  internal mutating func catchUp(_ greeting: RoomGreeting, now: Instant) {
    let ids = Set(greeting.members.map(\.id))
    for id in order where !ids.contains(id) { remove(id, "left") }
    for member in greeting.members { add(member, isEarlier: false, now: now) }
    isLocked = greeting.isLocked
    follow(greeting.arrangement, now: now)
  }

  internal mutating func receive(_ notice: RoomNotice, now: Instant) {
    switch notice {
    case .joined(let member): if member.id != me.id { add(member, isEarlier: false, now: now) }
    case .left(me.id, let reason): leave(reason, now: now)
    case .left(let id, let reason): remove(id, reason)
    case .changed(let member): change(member)
    case .tracks(let id, let sources): forward(id, sources)
    case .topology(let next): follow(next, now: now)
    case .locked(let isLocked):
      self.isLocked = isLocked
      raise(.locked(isLocked))
    case .speaking(let ids): raise(.speaking(ids))
    case .message(let message): raise(.message(message))
    case .signal(_, let from), .said(_, let from):
      if members[from] != nil { hear(notice, now: now) } else { keep(notice, from) }
    case .mute(let sources): raise(.mute(sources))
    case .waiting(let member): raise(.waiting(member))
    case .moved(let room):
      raise(.moved(room))
      end(Room.Failure(.moved, "a moderator asks us into the room \(room)"))
    case .ended(let failure): end(failure)
    }
  }

  private mutating func end(_ failure: Room.Failure) {
    closing = nil
    raise(.ended(failure))
  }

  /// It has just come, or has already gone.
  private mutating func keep(_ notice: RoomNotice, _ from: ID) {
    early.append((from, notice))
    if early.count > Self.maximumEarly { early.removeFirst() }
  }

  private mutating func hear(_ notice: RoomNotice, now: Instant) {
    switch notice {
    case .signal(let signal, let from):
      // An offer may be for data beside the server's connection, or of a topology that we are still to hear of.
      if case .offer = signal, links[from] == nil { open(from) }
      if links[from] != nil { raise(.signal(signal, from)) }
    case .said(let json, let from): hear(json, from: from, now: now)
    default: break
    }
  }

  /// What a participant said, over whichever way.
  internal mutating func hear(_ json: JSON, from id: ID, now: Instant) {
    guard members[id] != nil else { return }
    if let data = json["data"] { raise(.data(id, data)) }
    guard let generation = json["handover"]?.intValue else { return }
    handover.hear(id, generation)
    finishDone()
  }

  /// Of an end that was meant the inbox says more, which may come later.
  private mutating func leave(_ reason: String, now: Instant) {
    if reason == "timeout" { raise(.check) } else if reason != "left" { closing = (now + .seconds(1), reason) }
  }

  // MARK: Who is here

  private mutating func add(_ description: RoomMember, isEarlier: Bool, now: Instant) {
    let id = description.id
    if members[id] == nil {
      members[id] = Member(description: description, isEarlier: isEarlier)
      order.append(id)
      raise(.joined(id))
    } else {
      if isEarlier { members[id]?.isEarlier = true }
      change(description)
    }
    if way(of: id) == .link(id), links[id] == nil { meet(id) }
    // What others pass on of it may be here already.
    for (from, link) in links { if let tracks = link.tracks[id] { take(id, by: .link(from), tracks) } }
    forward(id, description.tracks)
    let known = early.filter { $0.from == id }
    early.removeAll { $0.from == id }
    for (_, notice) in known { hear(notice, now: now) }
  }

  private mutating func change(_ description: RoomMember) {
    if description.id == me.id {
      // What of ours is muted we know better than an echo.
      (me.name, me.info) = (description.name, description.info)
      return raise(.changed(me.id))
    }
    guard let old = members[description.id]?.description else { return }
    members[description.id]?.description = description
    members[description.id]?.description.tracks = old.tracks
    raise(.changed(description.id))
  }

  private mutating func remove(_ id: ID, _ reason: String) {
    disconnect(id)
    guard let member = members.removeValue(forKey: id) else { return }
    order.removeAll { $0 == id }
    handover.forget(id)
    if !member.description.tracks.isEmpty { subscribe() }
    raise(.left(member, reason: reason))
    finishDone()
  }

  /// We are somebody else to a participant who is the same to us, or it is gone.
  private mutating func disconnect(_ id: ID) {
    closeLink(id)
    members[id]?.incoming = [:]
    show(id)
  }

  private mutating func forward(_ id: ID, _ sources: [Room.Source]) {
    guard let known = members[id]?.description.tracks, known != sources else { return }
    members[id]?.description.tracks = sources
    subscribe()
  }

  /// What others publish through the server.
  func wanted() -> Set<Subscription> {
    let all = members.values.map(\.description).flatMap { member in
      member.tracks.map { Subscription(participant: member.id, source: $0) }
    }
    return Set(all)
  }

  mutating func subscribe() { if server != nil { raise(.subscribe(wanted())) } }

  // MARK: Paths

  internal mutating func link(_ id: ID, became state: LinkState, now: Instant) {
    guard let link = links[id] else { return }
    links[id]?.state = state
    links[id]?.lost = state == .connected ? nil : link.lost ?? now
    if state == .connected { look(id) }
    if state == .connected, !reported.isEmpty { report(now: now) }
  }

  internal mutating func server(became state: LinkState) {
    guard server != nil else { return }
    server = state
    if state == .connected { for id in order { look(id) } }
  }

  private mutating func report(now: Instant) {
    var unreachable: [ID] = []
    for id in order {
      guard let lost = links[id]?.lost, lost + Self.unreachable <= now else { continue }
      unreachable.append(id)
      // Told once, until it is connected again.
      links[id]?.lost = .distantFuture
    }
    unreachable += reported.filter { links[$0].map { $0.state != .connected } ?? false && !unreachable.contains($0) }
    guard unreachable != reported else { return }
    reported = unreachable
    raise(.report(unreachable: unreachable))
  }
}
