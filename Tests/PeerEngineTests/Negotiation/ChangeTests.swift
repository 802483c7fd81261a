import MartletICE
import MartletPeerEngine
import MartletSDP
import Testing

/// What becomes of a session that is there: sections that end and begin anew, restarts.
@Suite struct ChangeTests {
  private func call() throws -> (NegotiatingPeer, NegotiatingPeer) {
    var a = NegotiatingPeer("a", seed: 1), b = NegotiatingPeer("b", seed: 2)
    for kind in [TrackKind.audio, .video] {
      try a.negotiation.addTrack(kind, kind.rawValue, streams: ["s"])
      try b.negotiation.addTrack(kind, kind.rawValue, streams: ["t"])
    }
    try exchange(&a, &b)
    (a.events, b.events) = ([], [])
    return (a, b)
  }

  // W3C WebRTC §5.4.2, RFC 8829 §5.2.2
  @Test func `a transceiver that stops ends its section, which the next one takes`() throws {
    var (a, b) = try call()
    let video = try #require(a.negotiation.transceiver(mid: "1")?.id)
    try a.negotiation.stop(video)
    #expect(a.negotiation.needsNegotiation && a.media.outgoing.map(\.mid) == ["0"])
    try exchange(&a, &b)
    #expect(a.negotiation.transceivers.count == 1 && b.negotiation.transceivers.count == 1)
    #expect(b.events.removals.count == 1 && b.events.names.contains("rejected 1") && a.events.names.contains("rejected 1"))
    #expect(a.negotiation.currentLocalDescription?.groups == [.bundle(["0"])])
    #expect(a.media.incoming.count == 2 && a.media.incoming[1].codecs.isEmpty)
    // Either side may take it, for another kind too.
    try b.negotiation.addTransceiver(.audio)
    try exchange(&b, &a)
    let sections = try #require(a.negotiation.currentLocalDescription?.media)
    #expect(sections.count == 2 && sections[1].kind == .audio && sections[1].mid == "2" && !sections[1].isRejected)
    #expect(a.negotiation.currentLocalDescription?.groups == [.bundle(["0", "2"])])
  }

  @Test func `a transceiver that nobody has heard of goes at once`() throws {
    var a = NegotiatingPeer("a", seed: 1)
    let id = try a.negotiation.addTransceiver(.audio)
    #expect(a.negotiation.needsNegotiation)
    try a.negotiation.stop(id)
    #expect(a.negotiation.transceivers.isEmpty && !a.negotiation.needsNegotiation)
    #expect(try a.negotiation.createOffer().media.isEmpty)
    #expect(throws: NegotiationError.self) { try a.negotiation.setDirection(id, .inactive) }
  }

  @Test func `one that stops while its offer is under way ends with the next`() throws {
    var a = NegotiatingPeer("a", seed: 1), b = NegotiatingPeer("b", seed: 2)
    let id = try a.negotiation.addTransceiver(.audio)
    let offer = try a.negotiation.createOffer()
    try a.negotiation.stop(id)
    try a.negotiation.setLocalDescription(.offer, offer)
    try b.negotiation.setRemoteDescription(.offer, offer)
    try a.negotiation.setRemoteDescription(.answer, try b.negotiation.setLocalDescription().session)
    #expect(a.negotiation.needsNegotiation)
    try settle(&a, &b)
    #expect(a.negotiation.transceivers.isEmpty && b.negotiation.transceivers.isEmpty)
    #expect(a.negotiation.currentLocalDescription?.media.map(\.isRejected) == [true])
  }

  // W3C WebRTC §5.1, §5.1.1
  @Test func `a track that is removed and added again is told to the peer`() throws {
    var (a, b) = try call()
    let audio = try #require(a.negotiation.transceiver(mid: "0")?.id)
    try a.negotiation.removeTrack(audio)
    #expect(a.negotiation.transceiver(audio)?.direction == .recvonly)
    try exchange(&a, &b)
    #expect(b.taken().removals.count == 1)
    #expect(b.negotiation.transceiver(mid: "0")?.currentDirection == .sendonly)
    try a.negotiation.setDirection(audio, .sendrecv)
    try a.negotiation.replaceTrack(audio, with: "another")
    try exchange(&a, &b)
    #expect(b.taken().tracks.count == 1 && b.negotiation.transceiver(mid: "0")?.receiver.streams == ["s"])
  }

  // W3C WebRTC §5.2.3
  @Test func `streams that change are negotiated`() throws {
    var (a, b) = try call()
    try a.negotiation.setStreams(try #require(a.negotiation.transceiver(mid: "0")?.id), ["s", "u"])
    #expect(a.negotiation.needsNegotiation)
    try exchange(&a, &b)
    #expect(b.events.names.contains("streams") && b.events.tracks.isEmpty)
    #expect(b.negotiation.transceiver(mid: "0")?.receiver.streams == ["s", "u"])
  }

  // W3C WebRTC §5.1: addTrack
  @Test func `addTrack takes a transceiver of the peer's, but none that has sent`() throws {
    var a = NegotiatingPeer("a", seed: 1), b = NegotiatingPeer("b", seed: 2)
    try a.negotiation.addTrack(.audio, "x")
    try exchange(&a, &b)
    let id = try b.negotiation.addTrack(.audio, "y")
    #expect(b.negotiation.transceiver(mid: "0")?.id == id && b.negotiation.transceivers.count == 1)
    try settle(&a, &b)
    try b.negotiation.removeTrack(id)
    try settle(&a, &b)
    #expect(try b.negotiation.addTrack(.audio, "z") != id)
    #expect(throws: NegotiationError.invalidAccess("the track z has a sender")) { try b.negotiation.addTrack(.audio, "z") }
  }

  // RFC 8829 §5.10: only addTrack's transceivers take up what is offered.
  @Test func `addTransceiver makes a section of its own`() throws {
    var a = NegotiatingPeer("a", seed: 1), b = NegotiatingPeer("b", seed: 2)
    try a.negotiation.addTrack(.audio, "x")
    try b.negotiation.addTransceiver(.audio)
    try exchange(&a, &b)
    #expect(b.negotiation.transceivers.map(\.mid) == [nil, "0"] && b.negotiation.needsNegotiation)
    try settle(&a, &b)
    #expect(a.negotiation.transceivers.count == 2)
  }

  // RFC 8839 §4.4.1, 4.4.3
  @Test func `a restart brings new credentials on both sides`() throws {
    var (a, b) = try call()
    let before = (a.local, b.local)
    try a.negotiation.restartICE()
    #expect(a.negotiation.needsNegotiation)
    try exchange(&a, &b)
    #expect(a.local != before.0 && b.local != before.1 && !a.negotiation.needsNegotiation)
    #expect(a.local.fragment.hasPrefix("a") && b.local.fragment.hasPrefix("b"))
    #expect(a.events.names.filter { ["restart", "connect"].contains($0) } == ["restart", "connect"])
    #expect(b.events.names.filter { ["restart", "connect"].contains($0) } == ["restart", "connect"])
    let offer = try b.negotiation.createOffer(restartICE: true)
    #expect(offer.media[0].iceUfrag != b.local.fragment && offer.media.allSatisfy { $0.iceUfrag == offer.media[0].iceUfrag })
  }

  @Test func `a restart that is rolled back restores the transport`() throws {
    var (a, b) = try call()
    let before = (a.local, a.remote)
    try a.negotiation.restartICE()
    try a.negotiation.setLocalDescription()
    a.drain()
    #expect(a.local != before.0 && a.remote == nil)
    // The peer's offer comes first: its credentials are the old ones.
    try b.negotiation.addTrack(.audio, "more")
    let offer = try b.negotiation.setLocalDescription()
    #expect(a.negotiation.isCollision(.offer))
    try a.negotiation.setRemoteDescription(.offer, try carried(offer.session))
    a.drain()
    #expect(a.local == before.0 && a.remote == before.1)
    try b.negotiation.setRemoteDescription(.answer, try carried(try a.negotiation.setLocalDescription().session))
    a.drain()
    b.drain()
    expectAgreement(a, b)
    #expect(a.negotiation.needsNegotiation)
    try settle(&a, &b)
    #expect(a.local != before.0)
  }

  // RFC 8829 §5.7
  @Test func `a rollback forgets what the peer offered, but not what the application did`() throws {
    var a = NegotiatingPeer("a", seed: 1), b = NegotiatingPeer("b", seed: 2)
    try a.negotiation.addTransceiver(.audio)
    try a.negotiation.addTransceiver(.video)
    try b.negotiation.setRemoteDescription(.offer, try a.negotiation.setLocalDescription().session)
    try b.negotiation.addTrack(.video, "mine")
    try b.negotiation.setRemoteDescription(.rollback)
    #expect(b.negotiation.transceivers.map(\.kind) == [.video] && b.negotiation.transceivers.map(\.mid) == [nil])
    #expect(b.taken().removals.count == 2 && b.negotiation.needsNegotiation)
    #expect(b.negotiation.remoteDescription == nil && b.negotiation.signalingState == .stable)
    try a.negotiation.setLocalDescription(.rollback)
    #expect(a.negotiation.transceivers.map(\.mid) == [nil, nil] && a.negotiation.localDescription == nil)
    a.drain()
    b.drain()
    try settle(&a, &b)
  }

  // RFC 8829 §5.3.1
  @Test func `data channels that the peer refuses are told, and asked for no more`() throws {
    var a = NegotiatingPeer("a", seed: 1), b = NegotiatingPeer("b", seed: 2)
    try a.negotiation.addTrack(.audio, "audio")
    try a.negotiation.openDataChannels()
    try b.negotiation.setRemoteDescription(.offer, try a.negotiation.setLocalDescription().session)
    var answer = try b.negotiation.setLocalDescription().session
    answer.reject(1)
    try a.negotiation.setRemoteDescription(.answer, try carried(answer))
    let names = a.taken().names
    #expect(names.contains("rejected 1") && !names.contains("data"))
    #expect(!a.negotiation.needsNegotiation && a.negotiation.currentRemoteDescription?.media[1].isRejected == true)
  }

  // RFC 8853 §5
  @Test func `simulcast is agreed on, and goes on when the other side offers`() throws {
    var a = NegotiatingPeer("a", seed: 1), b = NegotiatingPeer("b", seed: 2)
    try a.negotiation.addTransceiver(.video, .sendonly, rids: ["q", "h", "f"])
    try exchange(&a, &b)
    #expect(b.media.incoming[0].rids == ["q", "h", "f"] && b.media.incoming[0].announced.isEmpty)
    #expect(a.media.outgoing[0].encodings.map(\.rid) == ["q", "h", "f"])
    #expect(Set(a.media.outgoing[0].encodings.map(\.parameters.ssrc)).count == 3)
    try exchange(&b, &a)
    #expect(b.media.incoming[0].rids == ["q", "h", "f"] && a.media.outgoing[0].encodings.count == 3)
    try exchange(&a, &b)
    #expect(b.media.incoming[0].rids == ["q", "h", "f"])
  }

  @Test func `a peer without simulcast gets one encoding`() throws {
    var a = NegotiatingPeer("a", seed: 1), b = NegotiatingPeer("b", seed: 2) { $0.receivesSimulcast = false }
    try a.negotiation.addTransceiver(.video, .sendonly, rids: ["q", "f"])
    try exchange(&a, &b)
    #expect(a.media.outgoing[0].encodings.map(\.rid) == [nil] && b.media.incoming[0].rids.isEmpty)
  }

  @Test func `layers that a peer asks for are sent`() throws {
    var a = NegotiatingPeer("a", seed: 1), b = NegotiatingPeer("b", seed: 2)
    try a.negotiation.addTransceiver(.video, .recvonly)
    var offer = try a.negotiation.setLocalDescription().session
    offer.media[0].rids = ["l", "m"].map { RID(id: $0, isSend: false) }
    offer.media[0].simulcast = Simulcast(receive: [[.init(rid: "l")], [.init(rid: "m")]])
    try b.negotiation.setRemoteDescription(.offer, try carried(offer))
    try b.negotiation.setDirection(try #require(b.negotiation.transceivers.first?.id), .sendonly)
    let answer = try b.negotiation.setLocalDescription().session
    #expect(answer.media[0].simulcast == Simulcast(send: [[.init(rid: "l")], [.init(rid: "m")]]))
    #expect(answer.media[0].ssrcs.isEmpty && b.media.outgoing[0].encodings.map(\.rid) == ["l", "m"])
  }
}
