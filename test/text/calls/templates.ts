/** Chat templates that show tools: of the shape of those that models carry, shortened to what concerns calls. */

/** Hermes and Qwen. */
export const HERMES_TEMPLATE =
  "{%- if tools %}<|begin_of_text|>System: # Tools\n<tools>{% for tool in tools %}{{ '\n' + (tool | tojson) }}{% endfor %}{{ '\n</tools>\n' }}" +
  'For each call return <tool_call>\n{"name": <name>, "arguments": <object>}\n</tool_call><|eot_id|>{% endif %}' +
  "{%- for message in messages %}" +
  "{%- if message.role == 'tool' %}{{ 'User: <tool_response>\n' + message.content + '\n</tool_response><|eot_id|>' }}" +
  "{%- elif message.role == 'assistant' and message.tool_calls %}{{ 'Assistant: ' + (message.content or '') }}" +
  "{%- for call in message.tool_calls %}" +
  '{{ \'<tool_call>\n{"name": "\' + call.function.name + \'", "arguments": \' }}{{ call.function.arguments | tojson }}{{ "}\n</tool_call>" }}' +
  "{%- endfor %}{{ '<|eot_id|>' }}" +
  "{%- else %}{{ message.role | capitalize + ': ' + message.content + '<|eot_id|>' }}{% endif %}" +
  "{%- endfor %}{%- if add_generation_prompt %}{{ 'Assistant: ' }}{% endif %}";

/** Llama 3.1. */
export const LLAMA_TEMPLATE =
  "{%- if not tools is defined %}{% set tools = none %}{% endif %}{% if tools is not none %}{% for t in tools %}{{ t | tojson(indent=4) }}{% endfor %}" +
  '{{ \'Respond in the format {"name": function name, "parameters": dictionary of argument name and its value}.\' }}{% endif %}' +
  "{%- for message in messages %}{{ '<|start_header_id|>' + message.role + '<|end_header_id|>\n\n' }}" +
  "{%- if message.tool_calls %}{% set call = message.tool_calls[0].function %}" +
  '{{ \'{"name": "\' + call.name + \'", "parameters": \' }}{{ call.arguments | tojson }}{{ "}" }}' +
  "{%- else %}{{ message.content }}{% endif %}{{ '<|eot_id|>' }}{% endfor %}";

/** Mistral 7B Instruct 0.3. */
export const MISTRAL_TEMPLATE =
  "{%- for message in messages %}{% if message.role == 'user' %}" +
  "{%- if tools is defined and loop.last %}{{ '[AVAILABLE_TOOLS] ' + (tools | tojson) + '[/AVAILABLE_TOOLS]' }}{% endif %}" +
  "{{ '[INST] ' + message.content + '[/INST]' }}" +
  "{%- elif message.tool_calls %}{{ '[TOOL_CALLS] [' }}{% for call in message.tool_calls %}" +
  "{{ call.function | tojson }}{% endfor %}{{ ']' + eos_token }}" +
  "{%- elif message.role == 'tool' %}{{ '[TOOL_RESULTS] ' + message.content + '[/TOOL_RESULTS]' }}{% endif %}{% endfor %}";
