package import MartletIO
internal import MartletMedia
internal import MartletPeerEngine
internal import MartletPrimitives
package import MartletRooms
internal import MartletWebRTC

/// The media of rooms' participants on one worker. A connection lives on the worker that took its first offer; later ones find it by the
/// worker's number in its id.
package final class RoomMedia {
  private let listener: WebRTCListener
  private let admission: Admission
  private let loops: [EventLoop]
  private var peers: [ParticipantKey: RoomPeer] = [:]
  /// Who spoke last, of rooms whose media is here.
  private var speakers: [RoomName: [ParticipantID]] = [:]

  package init(_ listener: WebRTCListener, _ admission: Admission, loops: [EventLoop]) {
    self.listener = listener
    self.admission = admission
    self.loops = loops
  }

  internal var isAvailable: Bool { listener.socket != nil }

  /// Who offers, and what it says of itself.
  internal struct Asker: Sendable {
    let identity: RoomPeer.Identity
    let remote: SocketAddress
    let userAgent: String?
  }

  /// Answers an offer: `{"ok": true, "sdp", "session"}`.
  internal func answer(_ offer: RoomOffer, by asker: Asker, then: @escaping RoomHub.Answer) {
    guard isAvailable else { return then(.failure(.noMedia("the server passes no media (listeners.webrtc)"))) }
    guard let session = offer.session else { return then(begin(offer, asker)) }
    reach(session, { $0.goOn(offer, asker) }, then)
  }

  /// How a participant looks at what it watches.
  internal func show(_ view: RoomView, to key: ParticipantKey, then: @escaping RoomHub.Answer) {
    reach(view.session, { $0.show(view, key) }, then)
  }

  /// Asks the worker that a connection lives on.
  private func reach(
    _ session: String, _ question: @escaping @Sendable (RoomMedia) -> Result<JSON, RoomError>, _ then: @escaping RoomHub.Answer
  ) {
    guard let worker = WebRTCListener.worker(of: session), loops.indices.contains(worker) else { return then(.failure(Self.ended)) }
    guard loops[worker] !== admission.context.loop else { return then(question(self)) }
    admission.context.ask(loops[worker]) { context, answer in
      answer(question(context.service(RoomMedia.self)))
    } then: {
      then($0)
    }
  }

  private static let ended = RoomError.noMedia("this media connection has ended; make a new one, without \"session\"")

  private func begin(_ offer: RoomOffer, _ asker: Asker) -> Result<JSON, RoomError> {
    // One that lost its connection makes another.
    peers[asker.identity.key]?.end("replaced by another connection")
    guard let path = try? StreamPath("\(asker.identity.room.chat)/\(asker.identity.participant)") else { return .failure(.gone) }
    let client = ClientInfo(
      id: admission.hub.nextClientID(), role: .publisher, transport: "room", path: path, remote: asker.remote,
      since: admission.context.wallTime, userAgent: asker.userAgent)
    guard let peer = RoomPeer(asker.identity, client: client, listener: listener, admission: admission) else {
      return .failure(.noMedia("the server passes no media (listeners.webrtc)"))
    }
    peers[asker.identity.key] = peer
    peer.speakers = speakers[asker.identity.room] ?? []
    listener.sessions[peer.id] = peer
    listener.begun += 1
    return answer(offer, by: peer)
  }

  private func goOn(_ offer: RoomOffer, _ asker: Asker) -> Result<JSON, RoomError> {
    guard let peer = peers[asker.identity.key], peer.id == offer.session else { return .failure(Self.ended) }
    return answer(offer, by: peer)
  }

  private func show(_ view: RoomView, _ key: ParticipantKey) -> Result<JSON, RoomError> {
    guard let peer = peers[key], peer.id == view.session else { return .failure(Self.ended) }
    peer.view = view
    return .success(["ok": true])
  }

  private func answer(_ offer: RoomOffer, by peer: RoomPeer) -> Result<JSON, RoomError> {
    do throws(RoomError) {
      return .success(["ok": true, "sdp": .string(try peer.answer(offer)), "session": .string(peer.id)])
    } catch {
      if peer.peer.state == .new { peer.end("\(error)") }
      return .failure(error)
    }
  }

  /// What of a participant is silenced now. On every worker, as `end`.
  package func silence(_ participant: Participant, of room: RoomName) {
    peers[participant.key]?.silenced = participant.silenced
    let path = "\(room.chat)/\(participant.id)"
    for (path, isOfScreen) in [(path, false), (path + "/screen", true)] {
      guard let path = try? StreamPath(path) else { continue }
      admission.hub.silence(path, TrackSource.kinds(participant.silenced, ofScreen: isOfScreen))
    }
  }

  /// Connections of a room's participants to this worker.
  package func reports(of room: String) -> [RoomMediaReport] {
    peers.values.filter { $0.room.text == room }.map { RoomMediaReport($0) }
  }

  internal func didEnd(_ peer: RoomPeer) {
    if peers[peer.key] === peer { peers[peer.key] = nil }
    if !peers.values.contains(where: { $0.room == peer.room }) { speakers[peer.room] = nil }
  }

  /// Who spoke in a room, the last one first. On every worker.
  package func setSpeakers(_ speakers: [ParticipantID], of room: RoomName) {
    let listeners = peers.values.filter { $0.room == room }
    guard !listeners.isEmpty else { return }
    self.speakers[room] = speakers
    for peer in listeners { peer.speakers = speakers }
  }

  /// Somebody left the room. On every worker: its home does not know where its media is.
  /// - Parameter reason: for the log.
  package func end(_ participant: Participant, of room: RoomName, _ reason: String) {
    guard participant.isStream else {
      peers[participant.key]?.end(reason)
      return
    }
    let path = "\(room.chat)/\(participant.id)"
    _ = admission.hub.kick(.administrator) { $0.role == .publisher && $0.path.text == path }
  }
}
