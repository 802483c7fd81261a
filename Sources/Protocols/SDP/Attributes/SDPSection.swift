/// What the session level and `m=` sections have in common: attributes in order, and typed access to them. Setting one keeps
/// its place; setting `nil` or an empty list removes it.
package protocol SDPSection {
  var attributes: [SDPAttribute] { get set }
}

extension SDPSection {
  /// Puts `new` where the first attribute called `name` stands, or at the end, and removes the others of that name.
  package mutating func replaceAttributes(named name: String, with new: [SDPAttribute]) {
    let place = attributes.firstIndex { $0.name == name } ?? attributes.endIndex
    attributes.removeAll { $0.name == name }
    attributes.insert(contentsOf: new, at: min(place, attributes.endIndex))
  }

  /// The value of an attribute that has no type here; `""` when it has no value, `nil` when it is absent.
  package func value(of name: String) -> String? {
    for attribute in attributes where attribute.name == name { return attribute.value ?? "" }
    return nil
  }

  fileprivate func contains(_ attribute: SDPAttribute) -> Bool { attributes.contains(attribute) }

  fileprivate mutating func set(_ attribute: SDPAttribute, _ isPresent: Bool) {
    replaceAttributes(named: attribute.name, with: isPresent ? [attribute] : [])
  }
}

extension SDPSection {
  package var iceUfrag: String? {
    get { attributes.firstMap { if case .iceUfrag(let text) = $0 { text } else { nil } } }
    set { replaceAttributes(named: "ice-ufrag", with: newValue.map { [.iceUfrag($0)] } ?? []) }
  }

  package var icePwd: String? {
    get { attributes.firstMap { if case .icePwd(let text) = $0 { text } else { nil } } }
    set { replaceAttributes(named: "ice-pwd", with: newValue.map { [.icePwd($0)] } ?? []) }
  }

  package var iceOptions: [String] {
    get { attributes.firstMap { if case .iceOptions(let options) = $0 { options } else { nil } } ?? [] }
    set { replaceAttributes(named: "ice-options", with: newValue.isEmpty ? [] : [.iceOptions(newValue)]) }
  }

  package var isICELite: Bool {
    get { contains(.iceLite) }
    set { set(.iceLite, newValue) }
  }

  package var fingerprints: [Fingerprint] {
    get { attributes.compactMap { if case .fingerprint(let fingerprint) = $0 { fingerprint } else { nil } } }
    set { replaceAttributes(named: "fingerprint", with: newValue.map(SDPAttribute.fingerprint)) }
  }

  package var setup: SetupRole? {
    get { attributes.firstMap { if case .setup(let role) = $0 { role } else { nil } } }
    set { replaceAttributes(named: "setup", with: newValue.map { [.setup($0)] } ?? []) }
  }

  /// What stands behind `candidate:`, each.
  package var candidates: [String] {
    get { attributes.compactMap { if case .candidate(let text) = $0 { text } else { nil } } }
    set { replaceAttributes(named: "candidate", with: newValue.map(SDPAttribute.candidate)) }
  }

  package var hasEndOfCandidates: Bool {
    get { contains(.endOfCandidates) }
    set { set(.endOfCandidates, newValue) }
  }

  /// As written; the default of a section is the session's, and of that `sendrecv`.
  package var direction: MediaDirection? {
    get { attributes.firstMap { if case .direction(let direction) = $0 { direction } else { nil } } }
    set {
      let place = attributes.firstIndex { if case .direction = $0 { true } else { false } } ?? attributes.endIndex
      attributes.removeAll { if case .direction = $0 { true } else { false } }
      if let newValue { attributes.insert(.direction(newValue), at: min(place, attributes.endIndex)) }
    }
  }

  package var extensions: [ExtensionMap] {
    get { attributes.compactMap { if case .extmap(let map) = $0 { map } else { nil } } }
    set { replaceAttributes(named: "extmap", with: newValue.map(SDPAttribute.extmap)) }
  }

  package var allowsMixedExtensions: Bool {
    get { contains(.extmapAllowMixed) }
    set { set(.extmapAllowMixed, newValue) }
  }
}

extension SessionDescription {
  package var groups: [SDPGroup] {
    get { attributes.compactMap { if case .group(let group) = $0 { group } else { nil } } }
    set { replaceAttributes(named: "group", with: newValue.map(SDPAttribute.group)) }
  }

  package var bundles: [SDPGroup] { groups.filter { $0.semantics == "BUNDLE" } }

  package var msidSemantic: MSIDSemantic? {
    get { attributes.firstMap { if case .msidSemantic(let semantic) = $0 { semantic } else { nil } } }
    set { replaceAttributes(named: "msid-semantic", with: newValue.map { [.msidSemantic($0)] } ?? []) }
  }
}

extension MediaDescription {
  package var mid: String? {
    get { attributes.firstMap { if case .mid(let mid) = $0 { mid } else { nil } } }
    set { replaceAttributes(named: "mid", with: newValue.map { [.mid($0)] } ?? []) }
  }

  package var msids: [MediaStreamID] {
    get { attributes.compactMap { if case .msid(let id) = $0 { id } else { nil } } }
    set { replaceAttributes(named: "msid", with: newValue.map(SDPAttribute.msid)) }
  }

  package var isBundleOnly: Bool {
    get { contains(.bundleOnly) }
    set { set(.bundleOnly, newValue) }
  }

  package var hasRTCPMux: Bool {
    get { contains(.rtcpMux) || contains(.rtcpMuxOnly) }
    set { set(.rtcpMux, newValue) }
  }

  package var hasReducedSizeRTCP: Bool {
    get { contains(.rtcpReducedSize) }
    set { set(.rtcpReducedSize, newValue) }
  }

  package var rtcp: RTCPAddress? {
    get { attributes.firstMap { if case .rtcp(let address) = $0 { address } else { nil } } }
    set { replaceAttributes(named: "rtcp", with: newValue.map { [.rtcp($0)] } ?? []) }
  }

  package var ssrcs: [SSRCAttribute] {
    get { attributes.compactMap { if case .ssrc(let attribute) = $0 { attribute } else { nil } } }
    set { replaceAttributes(named: "ssrc", with: newValue.map(SDPAttribute.ssrc)) }
  }

  package var ssrcGroups: [SSRCGroup] {
    get { attributes.compactMap { if case .ssrcGroup(let group) = $0 { group } else { nil } } }
    set { replaceAttributes(named: "ssrc-group", with: newValue.map(SDPAttribute.ssrcGroup)) }
  }

  package var rids: [RID] {
    get { attributes.compactMap { if case .rid(let rid) = $0 { rid } else { nil } } }
    set { replaceAttributes(named: "rid", with: newValue.map(SDPAttribute.rid)) }
  }

  package var simulcast: Simulcast? {
    get { attributes.firstMap { if case .simulcast(let simulcast) = $0 { simulcast } else { nil } } }
    set { replaceAttributes(named: "simulcast", with: newValue.map { [.simulcast($0)] } ?? []) }
  }

  package var maxMessageSize: UInt64? {
    get { attributes.firstMap { if case .maxMessageSize(let size) = $0 { size } else { nil } } }
    set { replaceAttributes(named: "max-message-size", with: newValue.map { [.maxMessageSize($0)] } ?? []) }
  }

  /// In milliseconds.
  package var ptime: Double? { attributes.firstMap { if case .ptime(let time) = $0 { time } else { nil } } }
  package var maxptime: Double? { attributes.firstMap { if case .maxptime(let time) = $0 { time } else { nil } } }
  /// Frames a second.
  package var framerate: Double? { attributes.firstMap { if case .framerate(let rate) = $0 { rate } else { nil } } }
}

extension Array where Element == SDPAttribute {
  func firstMap<T>(_ value: (SDPAttribute) -> T?) -> T? {
    for attribute in self { if let found = value(attribute) { return found } }
    return nil
  }
}
