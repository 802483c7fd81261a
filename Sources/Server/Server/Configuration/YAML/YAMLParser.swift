internal import CYAML

/// Why a text is no configuration file: the first thing wrong with its form.
package struct YAMLError: Error, Equatable, Sendable {
  package let reason: String
  package let place: SettingPlace
}

/// Reads one YAML document into nodes through libyaml's events. Anchors and aliases are refused, since a few of them make a
/// document of any size; so are tags, second documents and keys that are not text.
package struct YAMLParser: ~Copyable {
  package struct Limits: Sendable {
    package var bytes = 1 << 20
    package var depth = 16
    package var nodes = 20_000
    package init() {}
  }

  private let parser = UnsafeMutablePointer<yaml_parser_t>.allocate(capacity: 1)
  private let limits: Limits
  private var nodes = 0

  /// `nil` when the document is empty or holds comments only.
  package static func parse(_ text: [UInt8], limits: Limits = Limits()) throws(YAMLError) -> YAMLNode? {
    guard text.count <= limits.bytes else {
      throw YAMLError(reason: "the file is longer than \(limits.bytes) bytes", place: .file(line: 1, column: 1))
    }
    // libyaml keeps the address: it must hold until the last event.
    let input = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: max(1, text.count))
    defer { input.deallocate() }
    _ = input.initialize(from: text)
    var parser = YAMLParser(limits)
    yaml_parser_set_input_string(parser.parser, UnsafePointer(input.baseAddress), text.count)
    return try parser.document()
  }

  private init(_ limits: Limits) {
    self.limits = limits
    yaml_parser_initialize(parser)
    yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING)
  }

  deinit {
    yaml_parser_delete(parser)
    parser.deallocate()
  }

  private enum Event {
    case streamStart, documentStart, documentEnd, streamEnd
    case scalar(String, isPlain: Bool)
    case listStart, listEnd, mapStart, mapEnd
  }

  /// The next event and where it begins. Memory that libyaml gave is freed here.
  private mutating func next() throws(YAMLError) -> (Event, SettingPlace) {
    var event = yaml_event_t()
    guard yaml_parser_parse(parser, &event) == 1 else { throw failure() }
    defer { yaml_event_delete(&event) }
    let place = SettingPlace.file(line: event.start_mark.line + 1, column: event.start_mark.column + 1)
    switch event.type {
    case YAML_STREAM_START_EVENT: return (.streamStart, place)
    case YAML_STREAM_END_EVENT: return (.streamEnd, place)
    case YAML_DOCUMENT_START_EVENT: return (.documentStart, place)
    case YAML_DOCUMENT_END_EVENT: return (.documentEnd, place)
    case YAML_SEQUENCE_END_EVENT: return (.listEnd, place)
    case YAML_MAPPING_END_EVENT: return (.mapEnd, place)
    case YAML_SEQUENCE_START_EVENT:
      try refuse(anchor: event.data.sequence_start.anchor, tag: event.data.sequence_start.tag, place)
      return (.listStart, place)
    case YAML_MAPPING_START_EVENT:
      try refuse(anchor: event.data.mapping_start.anchor, tag: event.data.mapping_start.tag, place)
      return (.mapStart, place)
    case YAML_SCALAR_EVENT:
      let scalar = event.data.scalar
      try refuse(anchor: scalar.anchor, tag: scalar.tag, place)
      let text = String(decoding: UnsafeBufferPointer(start: scalar.value, count: scalar.length), as: UTF8.self)
      return (.scalar(text, isPlain: scalar.style == YAML_PLAIN_SCALAR_STYLE), place)
    default:
      throw YAMLError(reason: "aliases (*name) are not accepted; write the value out, or quote it if it begins with *", place: place)
    }
  }

  private func refuse(anchor: UnsafeMutablePointer<UInt8>?, tag: UnsafeMutablePointer<UInt8>?, _ place: SettingPlace) throws(YAMLError) {
    if anchor != nil { throw YAMLError(reason: "anchors (&name) are not accepted; quote the value if it begins with &", place: place) }
    if tag != nil { throw YAMLError(reason: "tags (!name) are not accepted; quote the value if it begins with !", place: place) }
  }

  private func failure() -> YAMLError {
    let state = parser.pointee
    let reason = state.problem.map { String(cString: $0) } ?? "the text is no YAML"
    let context = state.context.map { " (\(String(cString: $0)))" } ?? ""
    let tab = reason.contains("cannot start any token") ? "; a tab, @ or ` cannot begin a value: indent with spaces, quote the value" : ""
    return YAMLError(
      reason: reason + context + tab, place: .file(line: state.problem_mark.line + 1, column: state.problem_mark.column + 1))
  }

  // MARK: The tree

  private mutating func document() throws(YAMLError) -> YAMLNode? {
    var root: YAMLNode?
    while true {
      let (event, place) = try next()
      switch event {
      case .streamEnd: return root
      case .streamStart, .documentEnd: continue
      case .documentStart:
        if root != nil { throw YAMLError(reason: "a second document (---) in one file", place: place) }
      case .scalar, .listStart, .listEnd, .mapStart, .mapEnd: root = try node(event, place, depth: 1)
      }
    }
  }

  private mutating func node(_ event: Event, _ place: SettingPlace, depth: Int) throws(YAMLError) -> YAMLNode {
    nodes += 1
    guard nodes <= limits.nodes else { throw YAMLError(reason: "more than \(limits.nodes) values", place: place) }
    guard depth <= limits.depth else { throw YAMLError(reason: "nested deeper than \(limits.depth)", place: place) }
    switch event {
    case .scalar(let text, let isPlain): return YAMLNode(.scalar(text, isPlain: isPlain), at: place)
    case .listStart: return YAMLNode(.list(try list(depth)), at: place)
    case .mapStart: return YAMLNode(.map(try map(depth)), at: place)
    case .streamStart, .documentStart, .documentEnd, .streamEnd, .listEnd, .mapEnd:
      throw YAMLError(reason: "a value was expected", place: place)
    }
  }

  private mutating func list(_ depth: Int) throws(YAMLError) -> [YAMLNode] {
    var elements: [YAMLNode] = []
    while true {
      let (event, place) = try next()
      if case .listEnd = event { return elements }
      elements.append(try node(event, place, depth: depth + 1))
    }
  }

  private mutating func map(_ depth: Int) throws(YAMLError) -> [YAMLNode.Entry] {
    var entries: [YAMLNode.Entry] = []
    var places: [String: SettingPlace] = [:]
    while true {
      let (event, place) = try next()
      if case .mapEnd = event { return entries }
      guard case .scalar(let key, _) = event else { throw YAMLError(reason: "a key must be text", place: place) }
      if let first = places[key] { throw YAMLError(reason: "\"\(key)\" was set before, at \(first)", place: place) }
      places[key] = place
      let (valueEvent, valuePlace) = try next()
      entries.append(YAMLNode.Entry(key: key, place: place, value: try node(valueEvent, valuePlace, depth: depth + 1)))
    }
  }
}
