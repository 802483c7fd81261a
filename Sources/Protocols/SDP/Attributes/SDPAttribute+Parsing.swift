extension SDPAttribute {
  /// From what stands behind `a=`.
  init(_ reader: inout FieldReader) throws(SDPError) {
    let name = try reader.token("an attribute name", until: ":")
    guard reader.consume(":") else {
      try reader.end()
      self = SDPAttribute.property(name)
      return
    }
    guard let attribute = try SDPAttribute.valued(name, &reader) else {
      self = .other(name: name, value: reader.rest())
      return
    }
    try reader.end()
    self = attribute
  }

  private static func property(_ name: String) -> SDPAttribute {
    switch name {
    case "bundle-only": .bundleOnly
    case "extmap-allow-mixed": .extmapAllowMixed
    case "ice-lite": .iceLite
    case "end-of-candidates": .endOfCandidates
    case "rtcp-mux": .rtcpMux
    case "rtcp-mux-only": .rtcpMuxOnly
    case "rtcp-rsize": .rtcpReducedSize
    default: MediaDirection(rawValue: name).map(SDPAttribute.direction) ?? .other(name: name, value: nil)
    }
  }

  /// `nil` for an attribute that is not known.
  private static func valued(_ name: String, _ reader: inout FieldReader) throws(SDPError) -> SDPAttribute? {
    switch name {
    case "mid": .mid(try reader.token("an identification tag"))
    case "group": .group(try SDPGroup(&reader))
    case "msid-semantic": .msidSemantic(try MSIDSemantic(&reader))
    case "msid": .msid(try MediaStreamID(&reader))
    case "rtpmap": .rtpmap(try RTPMap(&reader))
    case "fmtp": try formatParameters(&reader)
    case "rtcp-fb": .rtcpFeedback(try RTCPFeedback(&reader))
    case "extmap": .extmap(try ExtensionMap(&reader))
    case "ssrc": .ssrc(try SSRCAttribute(&reader))
    case "ssrc-group": .ssrcGroup(try SSRCGroup(&reader))
    case "rid": .rid(try RID(&reader))
    case "simulcast": .simulcast(try Simulcast(&reader))
    default: try transport(name, &reader)
    }
  }

  private static func transport(_ name: String, _ reader: inout FieldReader) throws(SDPError) -> SDPAttribute? {
    switch name {
    case "ice-ufrag": .iceUfrag(try reader.token("a user name fragment"))
    case "ice-pwd": .icePwd(try reader.token("a password"))
    case "ice-options": .iceOptions(try reader.words())
    case "candidate": .candidate(reader.rest())
    case "fingerprint": .fingerprint(try Fingerprint(&reader))
    case "setup": .setup(try reader.choice("active, passive, actpass or holdconn", SetupRole.init(rawValue:)))
    case "rtcp": .rtcp(try RTCPAddress(&reader))
    case "sctp-port": .sctpPort(try reader.number("an SCTP port from 0 to 65535"))
    case "max-message-size": .maxMessageSize(try reader.number("a size in bytes"))
    case "sctpmap": .sctpMap(try SCTPMap(&reader))
    case "ptime": .ptime(try reader.decimal("milliseconds"))
    case "maxptime": .maxptime(try reader.decimal("milliseconds"))
    case "framerate": .framerate(try reader.decimal("frames a second"))
    default: nil
    }
  }

  private static func formatParameters(_ reader: inout FieldReader) throws(SDPError) -> SDPAttribute {
    let format = try reader.token("a format")
    try reader.space(before: "format parameters")
    return .fmtp(format: format, FormatParameters(reader.rest()))
  }
}
