import Foundation
import FoundationXML
import Testing

/// The bars and texts of an SVG image.
final class Drawing: NSObject, XMLParserDelegate {
    private(set) var bars: [[String: String]] = []
    private(set) var texts: [String] = []
    private var isText = false

    init(_ text: String) throws {
        super.init()
        let parser = XMLParser(data: Data(text.utf8))
        parser.delegate = self
        try #require(parser.parse(), "\(String(describing: parser.parserError))")
    }

    func parser(
        _ parser: XMLParser, didStartElement element: String, namespaceURI: String?, qualifiedName: String?,
        attributes: [String: String]
    ) {
        if element == "rect" { bars.append(attributes) }
        isText = element == "text"
        if isText { texts.append("") }
    }

    func parser(_ parser: XMLParser, foundCharacters characters: String) {
        if isText { texts[texts.count - 1] += characters }
    }

    func parser(
        _ parser: XMLParser, didEndElement element: String, namespaceURI: String?, qualifiedName: String?
    ) {
        isText = false
    }
}
