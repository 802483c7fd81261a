extension SessionDescription {
  /// The text, with CRLF line ends, lines in the order of RFC 8866 §5 and attributes in their own.
  package func write() -> String {
    var text = "v=0\r\no=\(origin)\r\ns=\(name.isEmpty ? "-" : name)\r\n"
    text.append(uninterpreted, of: "iuep")
    if let connection { text.appendLine("c=\(connection)") }
    for bandwidth in bandwidths { text.appendLine("b=\(bandwidth.type):\(bandwidth.value)") }
    text.append(uninterpreted, of: "trzk")
    text.append(attributes)
    for section in media { section.write(to: &text) }
    return text
  }
}

extension MediaDescription {
  fileprivate func write(to text: inout String) {
    let ports = portCount == 1 ? "\(port)" : "\(port)/\(portCount)"
    text.appendLine("m=\(kind) \(ports) \(transport.rawValue) \(formats.joined(separator: " "))")
    text.append(uninterpreted, of: "i")
    if let connection { text.appendLine("c=\(connection)") }
    for bandwidth in bandwidths { text.appendLine("b=\(bandwidth.type):\(bandwidth.value)") }
    text.append(uninterpreted, of: "k")
    text.append(attributes)
  }
}

extension String {
  fileprivate mutating func appendLine(_ line: String) {
    append(line)
    append("\r\n")
  }

  fileprivate mutating func append(_ lines: [SessionDescription.UninterpretedLine], of types: String) {
    for line in lines where types.contains(line.type) { appendLine("\(line.type)=\(line.value)") }
  }

  fileprivate mutating func append(_ attributes: [SDPAttribute]) {
    for attribute in attributes {
      append("a=")
      append(attribute.name)
      let value = attribute.value
      if let value {
        append(":")
        append(value)
      }
      append("\r\n")
    }
  }
}
