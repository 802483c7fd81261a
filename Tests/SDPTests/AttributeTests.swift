import MartletSDP
import Testing

@Suite struct AttributeTests {
  private func attribute(_ line: String) throws -> SDPAttribute? { try SessionDescription(audio(line)).media[0].attributes.last }

  // RFC 8853 §5.1
  @Test func `simulcast has alternatives and paused streams in both directions`() throws {
    let line = "a=simulcast:send 1,~4;2;~3 recv c"
    let expected = Simulcast(
      send: [[.init(rid: "1"), .init(rid: "4", isPaused: true)], [.init(rid: "2")], [.init(rid: "3", isPaused: true)]],
      receive: [[.init(rid: "c")]])
    #expect(try attribute(line) == .simulcast(expected))
    #expect(expected.description == "send 1,~4;2;~3 recv c")
    #expect(expected.answered { $0 != "2" }?.description == "send c recv 1,~4;~3")
    #expect(expected.answered { _ in false } == nil)
  }

  // RFC 8851 §4
  @Test func `a rid has restrictions`() throws {
    guard case .rid(let rid) = try attribute("a=rid:hi-res send pt=96,97;max-width=1280") else { throw Missing() }
    #expect(rid.id == "hi-res" && rid.isSend)
    #expect(rid.restrictions["pt"] == "96,97" && rid.restrictions.number("max-width") == 1280)
    #expect(rid.description == "hi-res send pt=96,97;max-width=1280")
  }

  // RFC 8285 §8
  @Test func `an extension has an id, a direction, a URI and attributes`() throws {
    guard case .extmap(let map) = try attribute("a=extmap:4096/sendonly urn:x a b") else { throw Missing() }
    #expect(map.id == 4096 && map.direction == .sendonly && map.uri == "urn:x" && map.attributes == "a b")
    #expect(map.description == "4096/sendonly urn:x a b")
  }

  // RFC 4585 §4.2
  @Test func `feedback may be for every payload type`() throws {
    let session = try SessionDescription(audio("a=rtcp-fb:* nack pli", "a=rtcp-fb:111 transport-cc "))
    #expect(session.media[0].codecs[0].feedback == [.transportCC, .pli])
  }

  @Test func `format parameters are found by name without case, and flags have no value`() {
    let parameters: FormatParameters = " minptime=10; UseInbandFEC=1 ;x; y="
    #expect(parameters["useinbandfec"] == "1" && parameters.number("minptime") == 10 && parameters["x"] == nil && parameters["y"] == "")
    #expect(parameters.description == "minptime=10;UseInbandFEC=1;x;y=")
  }

  // RFC 5576 §4
  @Test func `sources and their groups are read`() throws {
    let video = try Vectors.offer("chromium-156-offer").media[1]
    #expect(video.ssrcGroups == [SSRCGroup(semantics: "FID", ssrcs: [3_811_589_270, 451_307_685])])
    #expect(video.ssrcs.filter { $0.name == "cname" }.map(\.value) == ["7V96wQnplPjrfO40", "7V96wQnplPjrfO40"])
    #expect(video.msids == [MediaStreamID(stream: "6ebbc564-d981-407f-b219-c034aee15b28", track: "e91d9183-952f-451e-9e6c-19b0dfb437d2")])
  }

  @Test func `fields of a section are set where they stand`() throws {
    var media = try Vectors.offer("firefox-esr-153-offer").media[0]
    let before = media.attributes.map(\.name)
    media.mid = "x"
    media.direction = .inactive
    media.iceUfrag = "uuuu"
    media.extensions = [ExtensionMap(id: 5, uri: "urn:y")]
    #expect(media.mid == "x" && media.direction == .inactive && media.iceUfrag == "uuuu" && media.extensions.map(\.id) == [5])
    #expect(media.attributes.map(\.name) == before.map { $0 == "sendrecv" ? "inactive" : $0 }.removingRepeats(of: "extmap"))
    media.candidates = []
    media.hasEndOfCandidates = false
    #expect(!media.attributes.contains { $0.name == "candidate" || $0.name == "end-of-candidates" })
  }

  // RFC 8841 §5
  @Test func `data channels have a port in both forms`() throws {
    let modern = try Vectors.offer("firefox-esr-153-offer").media[2]
    #expect(modern.dataChannelForm == .standard && modern.sctpPort == 5000 && modern.maxMessageSize == 1_073_741_823)
    let old = try Vectors.offer2014().media[2]
    #expect(old.dataChannelForm == .sctpmap && old.sctpPort == 5000 && old.maxMessageSize == nil)
  }

  // RFC 8829 §5.8
  @Test func `a section inherits the transport of the session`() throws {
    let offer = try Vectors.offer("pion-3.1.56-offer")
    let transport = offer.transport(of: 0)
    #expect(transport.ufrag == "hkgmXswesESNtvzK" && transport.setup == .actpass && transport.fingerprints.count == 1)
    #expect(offer.transportSection(of: 2) == 0)
    #expect(try Vectors.offer("firefox-esr-153-offer").transport(of: 1).iceOptions == ["trickle"])
  }

  private struct Missing: Error {}
}

extension Array where Element == String {
  fileprivate func removingRepeats(of name: String) -> [String] {
    var seen = false
    return filter { element in
      defer { seen = seen || element == name }
      return element != name || !seen
    }
  }
}
