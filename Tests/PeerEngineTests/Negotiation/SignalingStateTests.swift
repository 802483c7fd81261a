import MartletICE
import MartletPeerEngine
import MartletSDP
import Testing

@Suite struct SignalingStateTests {
  private func refusal(_ call: () throws -> Void) -> NegotiationError? {
    do {
      try call()
      return nil
    } catch { return error as? NegotiationError }
  }

  // RFC 8829 §4.1.8, W3C WebRTC §4.3.1
  @Test func `each state takes its descriptions and no others`() {
    let expected: [(SignalingState, [(SignalingState.Side, SDPType, SignalingState)])] = [
      (.stable, [(.local, .offer, .haveLocalOffer), (.remote, .offer, .haveRemoteOffer)]),
      (
        .haveLocalOffer,
        [
          (.local, .offer, .haveLocalOffer), (.local, .rollback, .stable), (.remote, .offer, .haveRemoteOffer),
          (.remote, .pranswer, .haveRemotePranswer), (.remote, .answer, .stable),
        ]
      ),
      (
        .haveRemoteOffer,
        [
          (.local, .pranswer, .haveLocalPranswer), (.local, .answer, .stable), (.remote, .offer, .haveRemoteOffer),
          (.remote, .rollback, .stable),
        ]
      ),
      (.haveLocalPranswer, [(.local, .pranswer, .haveLocalPranswer), (.local, .answer, .stable)]),
      (.haveRemotePranswer, [(.remote, .pranswer, .haveRemotePranswer), (.remote, .answer, .stable)]),
      (.closed, []),
    ]
    for (state, allowed) in expected {
      for side in [SignalingState.Side.local, .remote] {
        for type in [SDPType.offer, .pranswer, .answer, .rollback] {
          #expect(state.next(side, type) == allowed.first { $0.0 == side && $0.1 == type }?.2)
        }
      }
    }
  }

  // W3C WebRTC §4.4.1
  @Test func `calls in the wrong state are InvalidStateErrors and change nothing`() throws {
    var a = NegotiatingPeer("a", seed: 1), b = NegotiatingPeer("b", seed: 2)
    try a.negotiation.addTrack(.audio, "audio")
    #expect(refusal { _ = try a.negotiation.createAnswer() } == .invalidState("createAnswer", .stable))
    #expect(refusal { try a.negotiation.setLocalDescription(.answer) } == .invalidState("setLocalDescription(answer)", .stable))
    #expect(refusal { try a.negotiation.setLocalDescription(.rollback) }?.name == "InvalidStateError")
    #expect(refusal { try a.negotiation.setRemoteDescription(.rollback) }?.name == "InvalidStateError")
    #expect(refusal { try a.negotiation.addRemoteCandidate("") } == .invalidState("addIceCandidate", .stable))
    let offer = try a.negotiation.createOffer()
    #expect(refusal { try a.negotiation.setRemoteDescription(.answer, offer) } == .invalidState("setRemoteDescription(answer)", .stable))
    try b.negotiation.setRemoteDescription(.offer, offer)
    #expect(refusal { _ = try b.negotiation.createOffer() } == .invalidState("createOffer", .haveRemoteOffer))
    let refused = refusal { try b.negotiation.setLocalDescription(.offer, offer) }
    #expect(refused == .invalidState("setLocalDescription(offer)", .haveRemoteOffer))
    #expect(a.negotiation.signalingState == .stable && b.negotiation.signalingState == .haveRemoteOffer)
    b.negotiation.close()
    #expect(refusal { _ = try b.negotiation.createAnswer() } == .invalidState("createAnswer", .closed))
    #expect(refusal { try b.negotiation.addTrack(.audio, "x") } == .invalidState("addTrack", .closed))
    #expect(refusal { try b.negotiation.openDataChannels() }?.description == "createDataChannel is not possible in the state closed")
  }

  // RFC 8829 §5.4
  @Test func `only what was created last can be set`() throws {
    var a = NegotiatingPeer("a", seed: 1)
    try a.negotiation.addTrack(.audio, "audio")
    #expect(refusal { try a.negotiation.setLocalDescription(.offer) } == .invalidModification("no offer was created"))
    let first = try a.negotiation.createOffer()
    var changed = try a.negotiation.createOffer()
    #expect(refusal { try a.negotiation.setLocalDescription(.offer, first) }?.name == "InvalidModificationError")
    changed.media[0].direction = .inactive
    #expect(refusal { try a.negotiation.setLocalDescription(.offer, changed) }?.name == "InvalidModificationError")
    changed.media[0].direction = .sendrecv
    changed.media[0].candidates = ["1 1 udp 1 192.0.2.1 1 typ host"]
    #expect(refusal { try a.negotiation.setLocalDescription(.offer, changed) } == nil)
  }

  // W3C WebRTC §5.1
  @Test func `what the application asks for is checked`() throws {
    var a = NegotiatingPeer("a", seed: 1)
    #expect(refusal { try a.negotiation.addTrack(.audio, "") }?.name == "InvalidAccessError")
    #expect(refusal { try a.negotiation.addTrack(.audio, "a\r\nm=x") }?.name == "InvalidAccessError")
    #expect(refusal { try a.negotiation.addTransceiver(.audio, rids: ["a", "b"]) }?.name == "InvalidAccessError")
    #expect(refusal { try a.negotiation.addTransceiver(.video, rids: ["a", "a"]) }?.name == "InvalidAccessError")
    #expect(refusal { try a.negotiation.addTransceiver(.video, rids: ["a", "b-"]) }?.name == "InvalidAccessError")
    let many = (0..<9).map { "r\($0)" }
    #expect(refusal { try a.negotiation.addTransceiver(.video, rids: many) } == .limit("layers of simulcast", maximum: 8))
    let streams = (0..<17).map { "s\($0)" }
    #expect(refusal { try a.negotiation.addTrack(.audio, "t", streams: streams) } == .limit("streams of a track", maximum: 16))
    #expect(refusal { try a.negotiation.addTrack(.audio, String(repeating: "x", count: 257)) } == .limit("bytes of an id", maximum: 256))
    #expect(a.negotiation.transceivers.isEmpty)
    let id = try a.negotiation.addTransceiver(.audio)
    try a.negotiation.stop(id)
    #expect(refusal { try a.negotiation.removeTrack(id) }?.name == "InvalidAccessError")
  }

  @Test func `negotiationneeded comes once, and again after an exchange that leaves something`() throws {
    var a = NegotiatingPeer("a", seed: 1), b = NegotiatingPeer("b", seed: 2)
    try a.negotiation.addTrack(.audio, "x")
    try a.negotiation.addTrack(.audio, "y")
    #expect(a.taken().names == ["needed"])
    let offer = try a.negotiation.setLocalDescription().session
    try a.negotiation.addTrack(.audio, "z")
    #expect(a.taken().names == ["media", "have-local-offer"])
    try b.negotiation.setRemoteDescription(.offer, offer)
    try a.negotiation.setRemoteDescription(.answer, try b.negotiation.setLocalDescription().session)
    #expect(a.taken().names.last == "needed")
  }
}
